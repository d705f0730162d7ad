"""A simulator of the ECS and VPC APIs of Alibaba Cloud, over TLS on loopback; what a test needs of it is in server.py."""
