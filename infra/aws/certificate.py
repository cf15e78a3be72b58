"""The certificate of the stack's domain in one region."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.site import Site

TTL = 300


def certificate(site: Site) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
    """The ARN of a certificate that is issued, and what makes it so: the domain, and each name under it.

    Every region proves the same domain by the same record, so each writes it over the others' and none takes
    it away: a region that leaves must not stop the renewal of those that stay.
    """
    entry = site.ground.cloud.entry
    asked = aws.acm.Certificate(
        f"certificate-{site.region}",
        domain_name=entry.domain,
        subject_alternative_names=[f"*.{entry.domain}"],
        validation_method="DNS",
        region=site.region,
        tags=site.tags("certificate"),
        opts=site.options(),
    )
    wanted = asked.domain_validation_options[0]
    proof = aws.route53.Record(
        f"certificate-{site.region}-proof",
        zone_id=entry.zone,
        name=wanted.resource_record_name,
        type=wanted.resource_record_type,
        records=[wanted.resource_record_value],
        ttl=TTL,
        allow_overwrite=True,
        opts=site.options(retain_on_delete=True),
    )
    issued = aws.acm.CertificateValidation(
        f"certificate-{site.region}-issued",
        certificate_arn=asked.arn,
        validation_record_fqdns=[proof.fqdn],
        region=site.region,
        opts=site.options(),
    )
    return issued.certificate_arn, [issued]
