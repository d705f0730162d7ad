"""The provider `alicloud`: machines of Alibaba Cloud (ECS), also of an Apsara Stack with the same API."""
