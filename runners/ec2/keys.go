package ec2

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"

	"github.com/launchplan/launch/runners"
)

// Files of the run's private folder. All ec2 runners of a run share them.
const (
	clientKeyFile = "ec2-key"      // with which launch logs in
	hostKeyFile   = "ec2-host-key" // which instances are given
)

// A keyFile is a private key of the run, in OpenSSH's format.
type keyFile struct {
	path   string
	pem    []byte
	signer ssh.Signer
}

func (k *keyFile) public() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())))
}

// readKey reads a key of the run; one that is not there is fs.ErrNotExist.
func readKey(path string) (*keyFile, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key of this run's instances cannot be read: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(content)
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	return &keyFile{path, content, signer}, nil
}

// makeKey returns the key in a file of the run, and makes it where there is
// none. Of several who make it at a time one wins, and all get that one's.
func makeKey(path string) (*keyFile, error) {
	if k, err := readKey(path); !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "launch")
	if err != nil {
		return nil, err
	}
	if err := writeOnce(path, pem.EncodeToMemory(block)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep a key of the run: %w", err)
	}
	return readKey(path)
}

// writeOnce makes a file appear whole and durable, or fails with fs.ErrExist.
func writeOnce(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

const kindKeyPair = "key-pair"

// keyPair makes sure that the run's key pair is known in this region, and
// returns its name. The private key is made here and never leaves this machine.
func (r *Runner) keyPair(ctx context.Context) (string, error) {
	if r.config.KeyName != "" {
		return r.config.KeyName, nil
	}
	key, err := makeKey(filepath.Join(r.env.Dir, clientKeyFile))
	if err != nil {
		return "", err
	}
	res := runners.Resource{Kind: kindKeyPair, Key: r.cloud.region, Status: "wanted", Data: `{"name":"` + r.keyPairName() + `"}`}
	for _, known := range r.env.Ledger.List(kindKeyPair) {
		if known.Key == res.Key && known.Status == "live" {
			there, err := r.keyPairIsThere(ctx)
			if there || err != nil {
				return r.keyPairName(), err
			}
		}
	}
	if err := r.record(ctx, res); err != nil {
		return "", err
	}
	in := &ec2.ImportKeyPairInput{
		KeyName:           aws.String(r.keyPairName()),
		PublicKeyMaterial: []byte(key.public()),
		TagSpecifications: tagSpecs(r.runTags(), types.ResourceTypeKeyPair),
	}
	out, err := call(ctx, r.cloud, r.cloud.ec2.ImportKeyPair, in)
	if aboutTags(err) {
		r.env.Note("", "the cloud does not tag key pairs, so launch clean cannot find "+r.keyPairName()+"; it goes with the run")
		in.TagSpecifications = nil
		out, err = call(ctx, r.cloud, r.cloud.ec2.ImportKeyPair, in)
	}
	there := kindOf(err) == alreadyThere
	if refused(err) {
		there, _ = r.keyPairIsThere(ctx) // not every cloud says so
	}
	switch {
	case there:
		// An earlier call took effect, its answer was lost. The name holds the
		// run's id, and the run has one key.
	case kindOf(err) == badParameter:
		return "", explain(err, "import the run's key pair, of the type ed25519 (key_name in the runner block names one that is there already)")
	case err != nil:
		return "", explain(err, "import the run's key pair")
	default:
		res.ID, r.keyMade = aws.ToString(out.KeyPairId), time.Now()
	}
	res.Status = "live"
	return r.keyPairName(), r.env.Ledger.Put(ctx, res)
}

// keyPairIsThere looks whether the run's key pair is still what an earlier command made. Somebody may have removed it;
// then it is imported again, as where the cloud does not let launch look: importing what is there makes nothing twice.
func (r *Runner) keyPairIsThere(ctx context.Context) (bool, error) {
	out, err := call(ctx, r.cloud, r.cloud.ec2.DescribeKeyPairs, &ec2.DescribeKeyPairsInput{KeyNames: []string{r.keyPairName()}}, r.cloud.unlessRefused())
	if refused(err) { // which a cloud may answer in any words to a name that it does not know
		return false, nil
	}
	if err != nil {
		return false, explain(err, "look for the run's key pair")
	}
	return slices.ContainsFunc(out.KeyPairs, func(k types.KeyPairInfo) bool { return aws.ToString(k.KeyName) == r.keyPairName() }), nil
}

func (r *Runner) keyPairName() string { return "launch-" + r.env.RunID }

// hostKey is the key that launch gives to instances of the run. One call starts
// many instances with the same user data, so they share it.
func (r *Runner) hostKey() (*keyFile, error) {
	if r.config.HostKey == "console" {
		return nil, nil
	}
	return makeKey(filepath.Join(r.env.Dir, hostKeyFile))
}

// deleteKeyPairs removes the run's key pair from this region, and the keys.
func (r *Runner) deleteKeyPairs(ctx context.Context) error {
	for _, res := range r.env.Ledger.List(kindKeyPair) {
		if res.Key != r.cloud.region || res.Status == "gone" && r.config.KeyName != "" {
			continue
		}
		// Also where it is gone: another runner block may have it in another account, and a region of the same name.
		_, err := call(ctx, r.cloud, r.cloud.ec2.DeleteKeyPair, &ec2.DeleteKeyPairInput{KeyName: aws.String(r.keyPairName())})
		switch {
		case kindOf(err) == notFound:
			err = nil
		case refused(err):
			if there, lookErr := r.keyPairIsThere(ctx); !there {
				err = lookErr
			}
		}
		if err != nil {
			return explain(err, "delete the key pair %s", r.keyPairName())
		}
		res.Status = "gone"
		if err := r.env.Ledger.Put(ctx, res); err != nil {
			return err
		}
	}
	return nil
}

func tagSpecs(tags map[string]string, kinds ...types.ResourceType) []types.TagSpecification {
	var out []types.TagSpecification
	for _, k := range kinds {
		out = append(out, types.TagSpecification{ResourceType: k, Tags: sdkTags(tags)})
	}
	return out
}
