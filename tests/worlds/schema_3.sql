BEGIN TRANSACTION;
CREATE TABLE approval (
	"row" INTEGER NOT NULL, 
	action_id VARCHAR NOT NULL, 
	granted INTEGER NOT NULL, 
	why VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	expires_at VARCHAR NOT NULL, 
	PRIMARY KEY ("row")
);
CREATE TABLE approval_use (
	"row" INTEGER NOT NULL, 
	approval_row INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	UNIQUE (approval_row), 
	FOREIGN KEY(approval_row) REFERENCES approval ("row")
);
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
CREATE TABLE event (
	"row" INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	pool VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY ("row")
);
CREATE TABLE freeze (
	"row" INTEGER NOT NULL, 
	scope VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	why VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	until VARCHAR, 
	shrinks_only INTEGER NOT NULL, 
	PRIMARY KEY ("row")
);
CREATE TABLE generation (
	"row" INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	PRIMARY KEY ("row")
);
INSERT INTO "generation" VALUES(1,1);
CREATE TABLE inputs (
	"row" INTEGER NOT NULL, 
	plan_row INTEGER NOT NULL, 
	packed BLOB NOT NULL, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(plan_row) REFERENCES "plan" ("row")
);
CREATE TABLE intent (
	"row" INTEGER NOT NULL, 
	plan_id VARCHAR NOT NULL, 
	action_id VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	body VARCHAR NOT NULL, 
	generation INTEGER, 
	PRIMARY KEY ("row")
);
INSERT INTO "intent" VALUES(1,'464bacdde7c1fb5c','fa3d68a5640b3b43','web','2026-03-02T08:00:00.000000+00:00','{"actions":[{"after":6,"because":[],"before":9,"billable":true,"confidence":null,"disruption":0,"expires_at":"2026-03-02T09:00:00Z","hourly_delta_usd":null,"id":"fa3d68a5640b3b43","kind":"scale-in","not_before":"2026-03-02T08:00:00Z","reason":"LIVE_DEMAND","target":"web","undo_class":"reversible","version":"7"}],"complete":true,"expires_at":"2026-03-02T09:00:00Z","findings":[],"forecasts_digest":"","format_version":1,"gaps":[],"held":[],"id":"464bacdde7c1fb5c","made_at":"2026-03-02T08:00:00Z","policy_digest":"","snapshot_digest":""}',1);
INSERT INTO "intent" VALUES(2,'464bacdde7c1fb5c','9562372aefb737ed','web','2026-03-02T08:00:00.000000+00:00','{"actions":[{"after":5,"because":[],"before":6,"billable":true,"confidence":null,"disruption":0,"expires_at":"2026-03-02T09:00:00Z","hourly_delta_usd":null,"id":"9562372aefb737ed","kind":"scale-in","not_before":"2026-03-02T08:00:00Z","reason":"LIVE_DEMAND","target":"web","undo_class":"reversible","version":"7"}],"complete":true,"expires_at":"2026-03-02T09:00:00Z","findings":[],"forecasts_digest":"","format_version":1,"gaps":[],"held":[],"id":"3422394134d10a28","made_at":"2026-03-02T08:00:00Z","policy_digest":"","snapshot_digest":""}',1);
CREATE TABLE lift (
	"row" INTEGER NOT NULL, 
	freeze_row INTEGER NOT NULL, 
	why VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(freeze_row) REFERENCES freeze ("row")
);
CREATE TABLE link (
	seq INTEGER NOT NULL, 
	"of" VARCHAR NOT NULL, 
	"row" INTEGER NOT NULL, 
	hash VARCHAR NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "link" VALUES(1,'schema_version',3,'6a8c0143b4556c38d1e764525e17ac58f41eec0acb7cee0dfea06abc38876d31');
INSERT INTO "link" VALUES(2,'plan',1,'5ff8cb1e7cea76a60983f3a05abfb55a98c73f18e3bd5fdb7fe3c64bfae84912');
INSERT INTO "link" VALUES(3,'proposal',1,'74d42c2704c7bdd231fe5d4bc6b38a2044d165ca9275e1dc718cd1b1f6385f9d');
INSERT INTO "link" VALUES(4,'pool_seen',1,'e4cbabe0115649060fa0dea44347e2278a17a1235a3d524abb005124ba2e5b12');
INSERT INTO "link" VALUES(5,'generation',1,'7bcae6f6d4c9a33084549a3355dc63d959f33c3fe57028c20908c729584cf211');
INSERT INTO "link" VALUES(6,'intent',1,'4607192200ddbe91f4d895f431c6eec6280b06ee47ddf08354582ae455c8ba2e');
INSERT INTO "link" VALUES(7,'outcome',1,'de05af611c6a685a0f73f921820b060ceae54b7c6454043176391b018b3e806a');
INSERT INTO "link" VALUES(8,'intent',2,'cca4f7e6654533088e95a2b820fd5652d9a908bdd9eecaf84056055d8b9c8b9d');
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
INSERT INTO "outcome" VALUES(1,1,'applied','2026-03-02T08:00:00.000000+00:00',6,'','web','2026-03-02T08:00:00.000000+00:00',9,6);
CREATE TABLE "plan" (
	"row" INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	made_at VARCHAR NOT NULL, 
	expires_at VARCHAR NOT NULL, 
	body VARCHAR NOT NULL, 
	generation INTEGER, 
	PRIMARY KEY ("row")
);
INSERT INTO "plan" VALUES(1,'464bacdde7c1fb5c','2026-03-02T08:00:00.000000+00:00','2026-03-02T09:00:00.000000+00:00','{"actions":[{"after":6,"because":[],"before":9,"billable":true,"confidence":null,"disruption":0,"expires_at":"2026-03-02T09:00:00Z","hourly_delta_usd":null,"id":"fa3d68a5640b3b43","kind":"scale-in","not_before":"2026-03-02T08:00:00Z","reason":"LIVE_DEMAND","target":"web","undo_class":"reversible","version":"7"}],"complete":true,"expires_at":"2026-03-02T09:00:00Z","findings":[],"forecasts_digest":"f","format_version":1,"gaps":[],"held":[],"id":"464bacdde7c1fb5c","made_at":"2026-03-02T08:00:00Z","policy_digest":"p","snapshot_digest":"s"}',NULL);
CREATE TABLE pool_seen (
	"row" INTEGER NOT NULL, 
	pool VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	UNIQUE (pool)
);
INSERT INTO "pool_seen" VALUES(1,'web','2026-03-02T08:00:00.000000+00:00');
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
INSERT INTO "proposal" VALUES(1,1,0,'fa3d68a5640b3b43','web','');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	identity VARCHAR NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(3,'b1d160be');
CREATE TABLE sighting (
	"row" INTEGER NOT NULL, 
	plan_row INTEGER NOT NULL, 
	made_at VARCHAR NOT NULL, 
	expires_at VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(plan_row) REFERENCES "plan" ("row")
);
CREATE TABLE verdict (
	"row" INTEGER NOT NULL, 
	intent_row INTEGER NOT NULL, 
	verdict VARCHAR NOT NULL, 
	facts VARCHAR NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY ("row"), 
	FOREIGN KEY(intent_row) REFERENCES intent ("row")
);
CREATE INDEX ix_chunk_unique_id ON chunk (unique_id);
CREATE INDEX ix_plan_id ON "plan" (id);
CREATE INDEX ix_intent_action_id ON intent (action_id);
CREATE INDEX ix_intent_target ON intent (target);
CREATE INDEX ix_intent_generation ON intent (generation);
CREATE INDEX ix_intent_plan_id ON intent (plan_id);
CREATE INDEX ix_approval_action_id ON approval (action_id);
CREATE INDEX ix_event_pool ON event (pool);
CREATE INDEX ix_proposal_plan_row ON proposal (plan_row);
CREATE INDEX ix_proposal_target ON proposal (target);
CREATE INDEX ix_proposal_action_id ON proposal (action_id);
CREATE INDEX ix_sighting_plan_row ON sighting (plan_row);
CREATE INDEX ix_outcome_changed_at ON outcome (changed_at);
CREATE INDEX ix_outcome_intent_row ON outcome (intent_row);
CREATE INDEX ix_inputs_plan_row ON inputs (plan_row);
CREATE INDEX ix_lift_freeze_row ON lift (freeze_row);
CREATE INDEX ix_verdict_intent_row ON verdict (intent_row);
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
CREATE TRIGGER inputs_no_update BEFORE UPDATE ON inputs BEGIN SELECT RAISE(ABORT, 'inputs is insert-only'); END;
CREATE TRIGGER inputs_no_delete BEFORE DELETE ON inputs BEGIN SELECT RAISE(ABORT, 'inputs is insert-only'); END;
CREATE TRIGGER generation_no_update BEFORE UPDATE ON generation BEGIN SELECT RAISE(ABORT, 'generation is insert-only'); END;
CREATE TRIGGER generation_no_delete BEFORE DELETE ON generation BEGIN SELECT RAISE(ABORT, 'generation is insert-only'); END;
CREATE TRIGGER pool_seen_no_update BEFORE UPDATE ON pool_seen BEGIN SELECT RAISE(ABORT, 'pool_seen is insert-only'); END;
CREATE TRIGGER pool_seen_no_delete BEFORE DELETE ON pool_seen BEGIN SELECT RAISE(ABORT, 'pool_seen is insert-only'); END;
CREATE TRIGGER freeze_no_update BEFORE UPDATE ON freeze BEGIN SELECT RAISE(ABORT, 'freeze is insert-only'); END;
CREATE TRIGGER freeze_no_delete BEFORE DELETE ON freeze BEGIN SELECT RAISE(ABORT, 'freeze is insert-only'); END;
CREATE TRIGGER lift_no_update BEFORE UPDATE ON lift BEGIN SELECT RAISE(ABORT, 'lift is insert-only'); END;
CREATE TRIGGER lift_no_delete BEFORE DELETE ON lift BEGIN SELECT RAISE(ABORT, 'lift is insert-only'); END;
CREATE TRIGGER approval_no_update BEFORE UPDATE ON approval BEGIN SELECT RAISE(ABORT, 'approval is insert-only'); END;
CREATE TRIGGER approval_no_delete BEFORE DELETE ON approval BEGIN SELECT RAISE(ABORT, 'approval is insert-only'); END;
CREATE TRIGGER approval_use_no_update BEFORE UPDATE ON approval_use BEGIN SELECT RAISE(ABORT, 'approval_use is insert-only'); END;
CREATE TRIGGER approval_use_no_delete BEFORE DELETE ON approval_use BEGIN SELECT RAISE(ABORT, 'approval_use is insert-only'); END;
CREATE TRIGGER verdict_no_update BEFORE UPDATE ON verdict BEGIN SELECT RAISE(ABORT, 'verdict is insert-only'); END;
CREATE TRIGGER verdict_no_delete BEFORE DELETE ON verdict BEGIN SELECT RAISE(ABORT, 'verdict is insert-only'); END;
CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'event is insert-only'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'event is insert-only'); END;
CREATE TRIGGER link_no_update BEFORE UPDATE ON link BEGIN SELECT RAISE(ABORT, 'link is insert-only'); END;
CREATE TRIGGER link_no_delete BEFORE DELETE ON link BEGIN SELECT RAISE(ABORT, 'link is insert-only'); END;
COMMIT;
