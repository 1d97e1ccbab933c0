BEGIN TRANSACTION;
CREATE TABLE chunk (
	id INTEGER NOT NULL, 
	unique_id VARCHAR NOT NULL, 
	start INTEGER NOT NULL, 
	step_s INTEGER NOT NULL, 
	steps INTEGER NOT NULL, 
	codec VARCHAR NOT NULL, 
	"values" BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE intent (
	"row" INTEGER NOT NULL, 
	plan_id VARCHAR NOT NULL, 
	action_id VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	body VARCHAR NOT NULL, 
	PRIMARY KEY ("row")
);
INSERT INTO "intent" VALUES(1,'12f11dea4cd1052d','1cb8982b3c14576b','web','2026-03-02T08:00:00.000000+00:00','{"actions":[{"after":6,"because":[],"before":4,"billable":true,"confidence":null,"disruption":0,"expires_at":"2026-03-02T09:00:00Z","hourly_delta_usd":null,"id":"1cb8982b3c14576b","kind":"scale-out","not_before":"2026-03-02T08:00:00Z","reason":"FORECAST_PEAK","target":"web","undo_class":"reversible","version":"7"}],"complete":true,"expires_at":"2026-03-02T09:00:00Z","findings":[],"forecasts_digest":"","format_version":1,"gaps":[],"held":[],"id":"12f11dea4cd1052d","made_at":"2026-03-02T08:00:00Z","policy_digest":"","snapshot_digest":""}');
INSERT INTO "intent" VALUES(2,'12f11dea4cd1052d','1cb8982b3c14576b','web','2026-03-02T08:00:00.000000+00:00','{"actions":[{"after":6,"because":[],"before":4,"billable":true,"confidence":null,"disruption":0,"expires_at":"2026-03-02T09:00:00Z","hourly_delta_usd":null,"id":"1cb8982b3c14576b","kind":"scale-out","not_before":"2026-03-02T08:00:00Z","reason":"FORECAST_PEAK","target":"web","undo_class":"reversible","version":"7"}],"complete":true,"expires_at":"2026-03-02T09:00:00Z","findings":[],"forecasts_digest":"","format_version":1,"gaps":[],"held":[],"id":"12f11dea4cd1052d","made_at":"2026-03-02T08:00:00Z","policy_digest":"","snapshot_digest":""}');
CREATE TABLE memory (
	pool VARCHAR NOT NULL, 
	"of" VARCHAR NOT NULL, 
	start INTEGER NOT NULL, 
	step_s INTEGER NOT NULL, 
	steps INTEGER NOT NULL, 
	shape VARCHAR NOT NULL, 
	packed BLOB NOT NULL, 
	checksum INTEGER NOT NULL, 
	told_at VARCHAR NOT NULL, 
	facts VARCHAR NOT NULL, 
	PRIMARY KEY (pool)
);
CREATE TABLE outcome (
	"row" INTEGER NOT NULL, 
	intent_row INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	observed_after INTEGER, 
	error VARCHAR NOT NULL, 
	changed_target VARCHAR, 
	changed_at VARCHAR, 
	changed_before INTEGER, 
	changed_after INTEGER, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(intent_row) REFERENCES intent ("row")
);
INSERT INTO "outcome" VALUES(1,1,'applied','2026-03-02T08:00:00.000000+00:00',6,'','web','2026-03-02T08:00:00.000000+00:00',4,6);
CREATE TABLE "plan" (
	"row" INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	made_at VARCHAR NOT NULL, 
	expires_at VARCHAR NOT NULL, 
	body VARCHAR NOT NULL, 
	PRIMARY KEY ("row")
);
INSERT INTO "plan" VALUES(1,'12f11dea4cd1052d','2026-03-02T08:00:00.000000+00:00','2026-03-02T09:00:00.000000+00:00','{"actions":[{"after":6,"because":[],"before":4,"billable":true,"confidence":null,"disruption":0,"expires_at":"2026-03-02T09:00:00Z","hourly_delta_usd":null,"id":"1cb8982b3c14576b","kind":"scale-out","not_before":"2026-03-02T08:00:00Z","reason":"FORECAST_PEAK","target":"web","undo_class":"reversible","version":"7"}],"complete":true,"expires_at":"2026-03-02T09:00:00Z","findings":[],"forecasts_digest":"f","format_version":1,"gaps":[],"held":[],"id":"12f11dea4cd1052d","made_at":"2026-03-02T08:00:00Z","policy_digest":"p","snapshot_digest":"s"}');
CREATE TABLE proposal (
	"row" INTEGER NOT NULL, 
	plan_row INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	action_id VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	guard VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(plan_row) REFERENCES "plan" ("row")
);
INSERT INTO "proposal" VALUES(1,1,0,'1cb8982b3c14576b','web','');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	identity VARCHAR NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(2,'5da2e5ac');
CREATE TABLE sighting (
	"row" INTEGER NOT NULL, 
	plan_row INTEGER NOT NULL, 
	made_at VARCHAR NOT NULL, 
	expires_at VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(plan_row) REFERENCES "plan" ("row")
);
INSERT INTO "sighting" VALUES(1,1,'2026-03-02T08:00:00.000000+00:00','2026-03-02T09:00:00.000000+00:00');
CREATE INDEX ix_chunk_unique_id ON chunk (unique_id);
CREATE INDEX ix_plan_id ON "plan" (id);
CREATE INDEX ix_intent_plan_id ON intent (plan_id);
CREATE INDEX ix_intent_action_id ON intent (action_id);
CREATE INDEX ix_intent_target ON intent (target);
CREATE INDEX ix_proposal_action_id ON proposal (action_id);
CREATE INDEX ix_proposal_target ON proposal (target);
CREATE INDEX ix_proposal_plan_row ON proposal (plan_row);
CREATE INDEX ix_sighting_plan_row ON sighting (plan_row);
CREATE INDEX ix_outcome_intent_row ON outcome (intent_row);
CREATE INDEX ix_outcome_changed_at ON outcome (changed_at);
CREATE TRIGGER schema_version_no_update BEFORE UPDATE ON schema_version BEGIN SELECT RAISE(ABORT, 'schema_version is insert-only'); END;
CREATE TRIGGER schema_version_no_delete BEFORE DELETE ON schema_version BEGIN SELECT RAISE(ABORT, 'schema_version is insert-only'); END;
CREATE TRIGGER plan_no_update BEFORE UPDATE ON plan BEGIN SELECT RAISE(ABORT, 'plan is insert-only'); END;
CREATE TRIGGER plan_no_delete BEFORE DELETE ON plan BEGIN SELECT RAISE(ABORT, 'plan is insert-only'); END;
CREATE TRIGGER proposal_no_update BEFORE UPDATE ON proposal BEGIN SELECT RAISE(ABORT, 'proposal is insert-only'); END;
CREATE TRIGGER proposal_no_delete BEFORE DELETE ON proposal BEGIN SELECT RAISE(ABORT, 'proposal is insert-only'); END;
CREATE TRIGGER sighting_no_update BEFORE UPDATE ON sighting BEGIN SELECT RAISE(ABORT, 'sighting is insert-only'); END;
CREATE TRIGGER sighting_no_delete BEFORE DELETE ON sighting BEGIN SELECT RAISE(ABORT, 'sighting is insert-only'); END;
CREATE TRIGGER intent_no_update BEFORE UPDATE ON intent BEGIN SELECT RAISE(ABORT, 'intent is insert-only'); END;
CREATE TRIGGER intent_no_delete BEFORE DELETE ON intent BEGIN SELECT RAISE(ABORT, 'intent is insert-only'); END;
CREATE TRIGGER outcome_no_update BEFORE UPDATE ON outcome BEGIN SELECT RAISE(ABORT, 'outcome is insert-only'); END;
CREATE TRIGGER outcome_no_delete BEFORE DELETE ON outcome BEGIN SELECT RAISE(ABORT, 'outcome is insert-only'); END;
COMMIT;
