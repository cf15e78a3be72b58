"""A stack on AWS as gate, receipt and commands see it: its log in S3, its keys in KMS, its clusters' routes.

Plain signed requests instead of an SDK: importing one takes half a second in every preview. botocore is asked
for credentials alone, and only where they are not in the environment.
"""
