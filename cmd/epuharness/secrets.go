package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/launchplan/launch/harness/broker"
)

// secrets are the files of a deployment and, for plans that hand them on, what is in them.
type secrets struct {
	Credentials        string `json:"credentials"`
	CA                 string `json:"tls_ca"`
	Cert               string `json:"tls_cert"`
	Key                string `json:"tls_key"`
	CredentialsContent string `json:"credentials_content"`
	CAContent          string `json:"tls_ca_content"`
	CertContent        string `json:"tls_cert_content"`
	KeyContent         string `json:"tls_key_content"`
}

func newSecretsCommand(g *globals) *cobra.Command {
	var hosts []string
	cmd := &cobra.Command{
		Use:   "secrets DIRECTORY",
		Short: "Make the credentials and certificates of a deployment",
		Long: `Secrets makes credentials, a certificate authority and a certificate for brokers on the
given hosts, all of them new, in DIRECTORY. With -o json it prints where the files are
and what is in them: that output is secret, too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return g.makeSecrets(args[0], hosts) },
	}
	cmd.Flags().StringSliceVar(&hosts, "hosts", nil, "addresses and names of the brokers, with commas")
	cmd.MarkFlagRequired("hosts")
	return cmd
}

func (g *globals) makeSecrets(dir string, hosts []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	certs, err := broker.NewCertificates(hosts)
	if err != nil {
		return err
	}
	credentials, err := json.Marshal(broker.NewCredentials())
	if err != nil {
		return err
	}
	s := secrets{
		Credentials: filepath.Join(dir, "credentials.json"), CA: filepath.Join(dir, "ca.pem"),
		Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
		CredentialsContent: string(credentials), CAContent: certs.CA, CertContent: certs.Cert, KeyContent: certs.Key,
	}
	for path, content := range map[string]string{s.Credentials: s.CredentialsContent, s.CA: s.CAContent, s.Cert: s.CertContent, s.Key: s.KeyContent} {
		if err := writeSecret(path, content); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if g.output == "json" {
		return json.NewEncoder(g.out).Encode(s)
	}
	fmt.Fprintf(g.out, "--credentials %s --tls-ca %s --tls-cert %s --tls-key %s\n", s.Credentials, s.CA, s.Cert, s.Key)
	return nil
}

// writeSecret replaces a file, so that one that is there with other rights does not keep them.
func writeSecret(path, content string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}
