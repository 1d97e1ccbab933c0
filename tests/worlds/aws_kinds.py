"""Pools of AWS beside Auto Scaling groups, on the server of `tests.worlds.aws`: each of 4 units."""

from __future__ import annotations

from moto.backends import get_backend

from tests.worlds.aws import REGION

ROLE = "arn:aws:iam::123456789012:role/eks"
IDS = {"eks": "eks/shop/web", "ecs": "ecs/shop/web", "ec2": "ec2/web"}


def node_group(world, name="web", cluster="shop"):
    """A node group of 4 within 2..10, over an Auto Scaling group of its own."""
    eks = world.somebody("eks")
    if cluster not in eks.list_clusters()["clusters"]:
        eks.create_cluster(name=cluster, roleArn=ROLE, resourcesVpcConfig={"subnetIds": ["s-1"]})
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName=name,
        nodeRole=ROLE,
        subnets=["s-1"],
        scalingConfig={"minSize": 2, "maxSize": 10, "desiredSize": 4},
        tags={"team": "shop"},
    )
    behind = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]["resources"]
    world.group(behind["autoScalingGroups"][0]["name"])


def service(world, name="web", cluster="shop"):
    """A service of 4 tasks."""
    ecs = world.somebody("ecs")
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(
        family="task", containerDefinitions=[{"name": "c", "image": "i", "memory": 64}]
    )
    tags = [{"key": "team", "value": "shop"}]
    ecs.create_service(cluster=cluster, serviceName=name, taskDefinition="task", desiredCount=4, tags=tags)
    settled(name, cluster)


def settled(name="web", cluster="shop", **fields):
    """What the server never does by itself: the tasks run, the deployment ends."""
    made = get_backend("ecs")["123456789012"][REGION].services[f"{cluster}:{name}"]
    made.running_count, made.pending_count = made.desired_count, 0
    for deployment in made.deployments:
        deployment["rolloutState"] = "COMPLETED"
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def instances(world, name="web", running=4, stopped=3):
    """Instances with the tag of a pool."""
    ec2 = world.somebody("ec2")
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=running + stopped,
        MaxCount=running + stopped,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": "loadline.dev/pool", "Value": name}, {"Key": "team", "Value": "shop"}],
            }
        ],
    )
    ids = [one["InstanceId"] for one in made["Instances"]]
    ec2.stop_instances(InstanceIds=ids[running:])
    return ids


MADE = {"eks": node_group, "ecs": service, "ec2": instances}
