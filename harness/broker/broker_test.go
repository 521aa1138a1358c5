package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

func startServer(t *testing.T, o Options) string {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Store == "" {
		o.Store = t.TempDir()
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.ClientURL()
}

func saved(t *testing.T, c Credentials) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials.json")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentials(t *testing.T) {
	c := NewCredentials()
	path := saved(t, c)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials file: %v, %v", info.Mode(), err)
	}
	if got, err := LoadCredentials(path); err != nil || got != c {
		t.Errorf("read back %v (%v)", got, err)
	}
	if other := NewCredentials(); other.Password == c.Password || len(c.Password) < 40 {
		t.Error("passwords are not random, or short")
	}
	for name, content := range map[string]string{"empty": "", "garbage": "secret-garbage", "half": `{"user":"u"}`, "array": "[]"} {
		bad := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadCredentials(bad)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadCredentials(t.TempDir()); err == nil {
		t.Error("a directory is read as credentials")
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]bool{
		"nats://127.0.0.1:4222": true, "tls://host:4222": true, "nats://a:1,nats://b:2": true,
		"": false, "http://host": false, "host:4222": false, "nats://": false, "nats://u:p@host:1": false, "nats://a:1,nats://u@b:2": false, "::": false,
	} {
		if got := CheckURL(url) == nil; got != want {
			t.Errorf("%q: %v", url, got)
		}
	}
}

// patience is for what must happen; it only ends a test that hangs.
const patience = time.Minute

func connect(t *testing.T, a Address) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := Connect(ctx, a)
	if err == nil {
		conn.Close()
	}
	return err
}

func TestNobodyGetsInWithout(t *testing.T) {
	c := NewCredentials()
	url := startServer(t, Options{Credentials: c})
	if err := connect(t, Address{URL: url, Credentials: saved(t, c)}); err != nil {
		t.Error(err)
	}
	wrong := c
	wrong.Password += "x"
	for want, a := range map[string]Address{
		"asks for credentials":    {URL: url},
		"refuses the credentials": {URL: url, Credentials: saved(t, wrong)},
		"does not exist":          {URL: url, Credentials: "/no/such/file"},
	} {
		err := connect(t, a)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		} else if strings.Contains(err.Error(), c.Password) {
			t.Error("the password is in the error")
		}
	}
}

// Something else answers at the broker's address.
func TestNoBroker(t *testing.T) {
	for name, greeting := range map[string]string{"ssh": "SSH-2.0-OpenSSH_9.2\r\n", "http": "HTTP/1.1 400 Bad Request\r\n\r\n", "half": "INFO {", "garbage": "\x00\x01\x02\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(conn, greeting)
				conn.Close()
			}
		}()
		wait := patience
		if name == "half" { // which may yet become a whole: it is waited for
			wait = 300 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		conn, err := Connect(ctx, Address{URL: "nats://" + listener.Addr().String()})
		cancel()
		if err == nil {
			conn.Close()
			t.Errorf("%s: connected", name)
		} else {
			if !strings.Contains(err.Error(), "not a NATS broker") && name != "half" {
				t.Errorf("%s: %v", name, err)
			}
		}
		listener.Close()
		<-done
	}
}

func TestOffLoopbackTakesTLS(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		s, err := Start(Options{Listen: listen, Store: t.TempDir(), Credentials: NewCredentials()})
		if err == nil {
			s.Shutdown()
			t.Errorf("listens on %s without TLS", listen)
		}
	}
	server, ca := certificate(t)
	c := NewCredentials()
	url := startServer(t, Options{Listen: "0.0.0.0:0", Credentials: c, TLS: server})
	_, port, err := net.SplitHostPort(url[strings.LastIndex(url, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	url = "tls://127.0.0.1:" + port
	if err := connect(t, Address{URL: url, Credentials: saved(t, c), TLS: TLS{CA: ca}}); err != nil {
		t.Error(err)
	}
	if err := connect(t, Address{URL: url, Credentials: saved(t, c)}); err == nil || !strings.Contains(err.Error(), "cannot be trusted") {
		t.Errorf("with an unknown authority: %v", err)
	}
}

// certificate makes an authority that is its own server's certificate.
func certificate(t *testing.T) (TLS, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := TLS{CA: filepath.Join(dir, "cert.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files, files.CA
}

// A cluster of three keeps three copies, a lone server one.
// A server whose address is taken must not pass for one that listens: it is the other that answers.
func TestAddressInUse(t *testing.T) {
	url := startServer(t, Options{Credentials: NewCredentials()})
	taken := strings.TrimPrefix(url, "nats://")
	for name, o := range map[string]Options{
		"for clients": {Listen: taken},
		"for routes":  {Listen: "127.0.0.1:0", Cluster: Cluster{Name: "c", Listen: taken}},
	} {
		o.Credentials, o.Store = NewCredentials(), filepath.Join(t.TempDir(), "store")
		s, err := Start(o)
		if err == nil {
			s.Shutdown()
			s.WaitForShutdown()
		}
		if err == nil || !strings.Contains(err.Error(), taken+": bind: address already in use") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReplicas(t *testing.T) {
	c := NewCredentials()
	routes := freePorts(t, 3)
	urls := make([]string, 3)
	for i := range urls {
		urls[i] = startServer(t, Options{Name: fmt.Sprintf("b%d", i), Credentials: c, Cluster: Cluster{Name: "epu", Listen: routes[i], Routes: routes}})
	}
	for url, want := range map[string]int{strings.Join(urls, ","): 3, startServer(t, Options{Credentials: c}): 1} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := Connect(ctx, Address{URL: url, Credentials: saved(t, c)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b, err := Prepare(ctx, conn, 0) // also before the cluster has a leader
		if err != nil {
			t.Fatal(err)
		}
		status, err := b.Records.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if status.Bucket() != wire.RecordsBucket || status.Config().Replicas > want || want == 1 && status.Config().Replicas != 1 {
			t.Errorf("bucket %s has %d replicas", status.Bucket(), status.Config().Replicas)
		}
		t.Logf("%d replicas of at most %d", status.Config().Replicas, want)
	}
}

// freePorts are addresses that nobody listens on: different ones, as all are taken at once, and
// below those that systems give to outgoing connections and to whoever asks for any. One of
// these could have such an address before its server does.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, 0, n)
	for len(addresses) < n {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(12000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer l.Close()
		addresses = append(addresses, address)
	}
	return addresses
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`{"user":"epu","password":"p"}`))
	f.Add([]byte("-----BEGIN NATS USER JWT-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCredentials(data)
		if err == nil && c.credsFile == "" && c.Token == "" && (c.User == "" || c.Password == "") {
			t.Errorf("%q is read as credentials", data)
		}
	})
}
