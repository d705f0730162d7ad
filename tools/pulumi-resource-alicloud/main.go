// Command pulumi-resource-alicloud bridges the Terraform provider for Alibaba Cloud to the engine, for the few resources
// and look-ups that sealer-cloud's programs use. Tokens and shapes are those of the Python SDK pulumi_alicloud.
package main

import (
	"github.com/aliyun/terraform-provider-alicloud/alicloud"
	"github.com/hashicorp/terraform-plugin-sdk/helper/schema"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv1 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v1"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// version is the one of the Python SDK whose tokens are used here. The linker may set it.
var version = "3.105.0"

// Terraform name to token. What is not here cannot be used by a program.
var resources = map[string]string{
	"alicloud_vpc":                 "vpc/network:Network",
	"alicloud_vswitch":             "vpc/switch:Switch",
	"alicloud_nat_gateway":         "vpc/natGateway:NatGateway",
	"alicloud_snat_entry":          "vpc/snatEntry:SnatEntry",
	"alicloud_security_group":      "ecs/securityGroup:SecurityGroup",
	"alicloud_security_group_rule": "ecs/securityGroupRule:SecurityGroupRule",
	"alicloud_ecs_key_pair":        "ecs/ecsKeyPair:EcsKeyPair",
	"alicloud_eip_address":         "ecs/eipAddress:EipAddress",
	"alicloud_eip_association":     "ecs/eipAssociation:EipAssociation",
	"alicloud_instance":            "ecs/instance:Instance",
}

var lookups = map[string]string{
	"alicloud_zones":          "index/getZones:getZones",
	"alicloud_images":         "ecs/getImages:getImages",
	"alicloud_instance_types": "ecs/getInstanceTypes:getInstanceTypes",
	"alicloud_instances":      "ecs/getInstances:getInstances",
}

func main() {
	tfbridge.Main("alicloud", version, provider(), nil)
}

func provider() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:    shimv1.NewProvider(alicloud.Provider().(*schema.Provider)),
		Name: "alicloud", Version: version, ResourcePrefix: "alicloud",
		Config:      map[string]*tfbridge.SchemaInfo{"secret_key": secret(), "security_token": secret()},
		Resources:   map[string]*tfbridge.ResourceInfo{},
		DataSources: map[string]*tfbridge.DataSourceInfo{},
	}
	for name, token := range resources {
		info.Resources[name] = &tfbridge.ResourceInfo{Tok: tokens.Type("alicloud:" + token)}
	}
	for name, token := range lookups {
		info.DataSources[name] = &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember("alicloud:" + token)}
	}
	info.Resources["alicloud_instance"].Fields = map[string]*tfbridge.SchemaInfo{
		"network_interfaces": {MaxItemsOne: tfbridge.True()}, // one object in the SDK; a list makes the program die
		"user_data":          secret(),                       // else in clear in the state after an import
		"password":           secret(),
	}
	return info
}

func secret() *tfbridge.SchemaInfo {
	return &tfbridge.SchemaInfo{Secret: tfbridge.True()}
}
