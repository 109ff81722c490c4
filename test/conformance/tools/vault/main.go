// A Vault server of one process for the tests of secrets: its own core, barrier and HTTP API over storage in memory, with KV version 2 and nothing else built in.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	shamir "github.com/hashicorp/go-kms-wrapping/v2/aead"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/seal"
)

type noPlugins struct{}

func (noPlugins) Contains(name string, _ consts.PluginType) bool { return name == "kv" }
func (noPlugins) Get(name string, _ consts.PluginType) (func() (any, error), bool) {
	return func() (any, error) { return kv.Factory, nil }, name == "kv"
}
func (noPlugins) Keys(consts.PluginType) []string { return []string{"kv"} }
func (noPlugins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}
func (noPlugins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func main() {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	storage, err := inmem.NewInmem(nil, logger)
	must(err)
	access, err := seal.NewAccessFromSealWrappers(logger, 1, true, []*seal.SealWrapper{seal.NewSealWrapper(shamir.NewShamirWrapper(), 1, "shamir", "shamir", false, true)})
	must(err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: logger, DisableMlock: true, BuiltinRegistry: noPlugins{},
		LogicalBackends: map[string]logical.Factory{"kv": kv.Factory},
		Seal:            vault.NewDefaultSeal(access),
	})
	must(err)
	shares := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := core.Initialize(context.Background(), &vault.InitParams{BarrierConfig: shares, RecoveryConfig: &vault.SealConfig{}})
	must(err)
	_, err = core.Unseal(made.SecretShares[0])
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(map[string]string{"address": "http://" + listener.Addr().String(), "rootToken": made.RootToken}))
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{Address: listener.Addr().String()}})
	must(http.Serve(listener, handler))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
