"""Images, trails, logs, events and queues."""

from __future__ import annotations

from typing import Any

from lockstep.standin.aws.moto_requests.asked import Ask, Request, capital


def _repository(ask: Ask) -> None:
    (encrypted,) = ask.get("encryptionConfigurations") or [None]
    ask(
        "ecr",
        "create_repository",
        repositoryName=ask.get("name"),
        imageTagMutability=ask.get("imageTagMutability"),
        imageScanningConfiguration=ask.get("imageScanningConfiguration"),
        encryptionConfiguration=encrypted and {"encryptionType": encrypted.get("encryptionType")},
        tags=ask.tag_list,
    )


def _lifecycle(ask: Ask) -> None:
    named = {"repositoryName": ask.get("repository")}
    ask("ecr", "put_lifecycle_policy", **named, lifecyclePolicyText=ask.text("policy"))


def _copies(ask: Ask) -> None:
    wanted = ask.get("replicationConfiguration")
    ask("ecr", "put_replication_configuration", replicationConfiguration=wanted)


def _no_copies(ask: Ask) -> None:
    ask("ecr", "put_replication_configuration", replicationConfiguration={"rules": []})


def _trail(ask: Ask) -> None:
    ask(
        "cloudtrail",
        "create_trail",
        Name=ask.get("name"),
        S3BucketName=ask.get("s3BucketName"),
        KmsKeyId=ask.get("kmsKeyId"),
        IncludeGlobalServiceEvents=ask.get("includeGlobalServiceEvents"),
        IsMultiRegionTrail=ask.get("isMultiRegionTrail"),
        EnableLogFileValidation=ask.get("enableLogFileValidation"),
        TagsList=ask.tag_list,
    )
    _events_of(ask)
    if ask.get("enableLogging"):
        ask("cloudtrail", "start_logging", Name=ask.get("name"))


def _events_of(ask: Ask) -> None:
    selectors = capital(ask.get("advancedEventSelectors"), {"startsWiths": "StartsWith"})
    ask("cloudtrail", "put_event_selectors", TrailName=ask.get("name"), AdvancedEventSelectors=selectors)


def _log_group(ask: Ask) -> None:
    ask(
        "logs",
        "create_log_group",
        logGroupName=ask.get("name"),
        logGroupClass=ask.get("logGroupClass"),
        kmsKeyId=ask.get("kmsKeyId"),
        tags=ask.tags,
    )
    _kept(ask)


def _kept(ask: Ask) -> None:
    if ask.get("retentionInDays"):
        days = {"retentionInDays": ask.get("retentionInDays")}
        ask("logs", "put_retention_policy", logGroupName=ask.get("name"), **days)


def _rule(ask: Ask) -> None:
    ask("events", "put_rule", Name=ask.get("name"), EventPattern=ask.get("eventPattern"), Tags=ask.tag_list)


def _target(ask: Ask) -> None:
    wanted = [{"Id": ask.get("targetId"), "Arn": ask.get("arn")}]
    answer = ask("events", "put_targets", Rule=ask.get("rule"), Targets=wanted)
    assert not answer["FailedEntryCount"], answer["FailedEntries"]


def _no_target(ask: Ask) -> None:
    ask("events", "remove_targets", Rule=ask.get("rule"), Ids=[ask.get("targetId")])


QUEUE = {
    "DelaySeconds": "delaySeconds",
    "MaximumMessageSize": "maxMessageSize",
    "MessageRetentionPeriod": "messageRetentionSeconds",
    "ReceiveMessageWaitTimeSeconds": "receiveWaitTimeSeconds",
    "SqsManagedSseEnabled": "sqsManagedSseEnabled",
    "VisibilityTimeout": "visibilityTimeoutSeconds",
}
"""Attribute of a queue, as the API spells it -> property."""


def _queue(ask: Ask) -> str:
    wanted = {attribute: _word(ask.get(key)) for attribute, key in QUEUE.items() if ask.get(key) is not None}
    made = ask("sqs", "create_queue", QueueName=ask.get("name"), Attributes=wanted, tags=ask.tags)
    return str(made["QueueUrl"])


def _word(value: Any) -> str:
    return str(value).lower()


def _queue_policy(ask: Ask) -> None:
    policy = {"Policy": ask.text("policy")}
    ask("sqs", "set_queue_attributes", QueueUrl=ask.get("queueUrl"), Attributes=policy)


CREATES: dict[str, Request] = {
    "aws:cloudtrail/trail:Trail": _trail,
    "aws:cloudwatch/eventRule:EventRule": _rule,
    "aws:cloudwatch/eventTarget:EventTarget": _target,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _lifecycle,
    "aws:ecr/replicationConfiguration:ReplicationConfiguration": _copies,
    "aws:ecr/repository:Repository": _repository,
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": _queue_policy,
}
UPDATES: dict[str, Request] = {
    "aws:cloudtrail/trail:Trail": _events_of,
    "aws:cloudwatch/eventRule:EventRule": _rule,
    "aws:cloudwatch/logGroup:LogGroup": _kept,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _lifecycle,
    "aws:ecr/replicationConfiguration:ReplicationConfiguration": _copies,
    "aws:sqs/queuePolicy:QueuePolicy": _queue_policy,
}
DELETES: dict[str, Request] = {
    "aws:cloudtrail/trail:Trail": lambda ask: ask("cloudtrail", "delete_trail", Name=ask.get("name")),
    "aws:cloudwatch/eventRule:EventRule": lambda ask: ask("events", "delete_rule", Name=ask.get("name")),
    "aws:cloudwatch/eventTarget:EventTarget": _no_target,
    "aws:cloudwatch/logGroup:LogGroup": lambda ask: ask(
        "logs", "delete_log_group", logGroupName=ask.get("name")
    ),
    "aws:ecr/replicationConfiguration:ReplicationConfiguration": _no_copies,
    "aws:ecr/repository:Repository": lambda ask: ask(
        "ecr", "delete_repository", repositoryName=ask.get("name"), force=bool(ask.get("forceDelete"))
    ),
    "aws:sqs/queue:Queue": lambda ask: ask("sqs", "delete_queue", QueueUrl=ask.id),
}
