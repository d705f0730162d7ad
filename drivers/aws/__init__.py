"""Amazon Web Services: machines on EC2, through `pulumi_aws` and boto3."""
