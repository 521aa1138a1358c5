package broker

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Certificates are what the brokers of one deployment secure their connections
// with, all of them PEM. The authority's own key is not among them: it has signed
// the one certificate that there will be, and is forgotten.
type Certificates struct {
	CA, Cert, Key string
}

const (
	// certificateLife is longer than any run; a deployment's certificates are made anew with it.
	certificateLife = 5 * 365 * 24 * time.Hour
	// clockSkew is how far the clocks of its machines may be apart.
	clockSkew = time.Hour
)

// NewCertificates makes an authority and a certificate for the hosts, which are
// addresses or names. Brokers of a cluster are each other's clients, so it is good for both ends.
func NewCertificates(hosts []string) (Certificates, error) {
	begin := time.Now().Add(-clockSkew)
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "authority of the brokers"},
		NotBefore: begin, NotAfter: begin.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, MaxPathLenZero: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: begin, NotAfter: begin.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	caPublic, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Certificates{}, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caPublic, caKey)
	if err != nil {
		return Certificates{}, fmt.Errorf("make the authority: %w", err)
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Certificates{}, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, public, caKey)
	if err != nil {
		return Certificates{}, fmt.Errorf("make a certificate for %v: %w", hosts, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificates{}, err
	}
	return Certificates{
		CA:   text("CERTIFICATE", caDER),
		Cert: text("CERTIFICATE", leafDER),
		Key:  text("PRIVATE KEY", keyDER),
	}, nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f // positive, and of 20 octets at most
	return new(big.Int).SetBytes(b)
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
