// Package client stands where the signer of object storage would: no version of that module can be fetched, and no
// resource that this plugin maps talks to object storage.
package client

import (
	"errors"

	spi "github.com/alibabacloud-go/alibabacloud-gateway-spi/client"
)

var errNotBuilt = errors.New("this plugin is built without object storage")

// NewClient never gives a signer.
func NewClient() (spi.ClientInterface, error) {
	return nil, errNotBuilt
}
