package ec2test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

type keyPair struct {
	id, name string
	kind     string
	public   ssh.PublicKey
	created  time.Time
	tags     *tagSet
}

type xmlKeyPair struct {
	ID          string       `xml:"keyPairId"`
	Name        string       `xml:"keyName"`
	Kind        string       `xml:"keyType"`
	Fingerprint string       `xml:"keyFingerprint"`
	Created     string       `xml:"createTime"`
	Public      string       `xml:"publicKey,omitempty"`
	Tags        *set[xmlTag] `xml:"tagSet"`
}

func (s *Server) createKeyPair(p params) (answer, error) {
	if kind := p.str("KeyType"); kind != "ed25519" {
		return nil, badValue("Value (%s) for parameter KeyType is not one that this endpoint makes; use ed25519", kind)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	sshPublic, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	k, err := s.addKey(p, sshPublic)
	if err != nil {
		return nil, err
	}
	return append(s.keyAnswer(k), field{"keyMaterial", string(pem.EncodeToMemory(block))}), nil
}

func (s *Server) importKeyPair(p params) (answer, error) {
	material, err := base64.StdEncoding.DecodeString(p.str("PublicKeyMaterial"))
	if err != nil {
		return nil, fault(http.StatusBadRequest, "InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(material)
	if err != nil || public.Type() != ssh.KeyAlgoED25519 && public.Type() != ssh.KeyAlgoRSA {
		return nil, fault(http.StatusBadRequest, "InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	if err := s.refuseTagSpecs(p); err != nil {
		return nil, err
	}
	k, err := s.addKey(p, public)
	if err != nil {
		return nil, err
	}
	return s.keyAnswer(k), nil
}

func (s *Server) addKey(p params, public ssh.PublicKey) (*keyPair, error) {
	name := p.str("KeyName")
	if name == "" {
		return nil, missing("KeyName")
	}
	if len(name) > 255 {
		return nil, badValue("Value (%s) for parameter KeyName is invalid. Length exceeds maximum of 255", name)
	}
	if s.keys[name] != nil {
		return nil, fault(http.StatusBadRequest, "InvalidKeyPair.Duplicate", "The keypair '%s' already exists.", name)
	}
	tags, err := specTags(p, "key-pair")
	if err != nil {
		return nil, err
	}
	s.seq++
	k := &keyPair{id: fmt.Sprintf("key-%017x", s.seq), name: name, kind: "rsa", public: public, created: time.Now(), tags: &tagSet{resource: "key-pair"}}
	if public.Type() == ssh.KeyAlgoED25519 {
		k.kind = "ed25519"
	}
	k.tags.set(tags, k.created)
	s.keys[name], s.tagged[k.id] = k, k.tags
	return k, nil
}

func (s *Server) keyAnswer(k *keyPair) answer {
	return answer{
		{"keyName", k.name},
		{"keyFingerprint", ssh.FingerprintSHA256(k.public)},
		{"keyPairId", k.id},
		{"tagSet", s.visibleTags(k.tags, time.Now())},
	}
}

// deleteKeyPair succeeds for a key that does not exist, as the real one does.
func (s *Server) deleteKeyPair(p params) (answer, error) {
	for name, k := range s.keys {
		if name == p.str("KeyName") || k.id == p.str("KeyPairId") {
			delete(s.keys, name)
			delete(s.tagged, k.id)
			return answer{{"return", true}, {"keyPairId", k.id}}, nil
		}
	}
	return answer{{"return", true}}, nil
}

func (s *Server) describeKeyPairs(p params) (answer, error) {
	now := time.Now()
	names, ids := p.list("KeyName"), p.list("KeyPairId")
	for _, name := range names {
		if s.keys[name] == nil {
			return nil, fault(http.StatusBadRequest, "InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
		}
	}
	filters, err := s.parseFilters(p)
	if err != nil {
		return nil, err
	}
	withPublic, err := p.boolean("IncludePublicKey", false)
	if err != nil {
		return nil, err
	}
	var out set[xmlKeyPair]
	for _, name := range slices.Sorted(maps.Keys(s.keys)) {
		k := s.keys[name]
		if len(names) > 0 && !slices.Contains(names, name) || len(ids) > 0 && !slices.Contains(ids, k.id) {
			continue
		}
		ok, err := filters.match(func(attribute string) ([]string, bool) {
			switch attribute {
			case "key-name":
				return []string{k.name}, true
			case "key-pair-id":
				return []string{k.id}, true
			}
			return s.tagAttribute(k.tags, attribute, now)
		})
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		x := xmlKeyPair{ID: k.id, Name: k.name, Kind: k.kind, Fingerprint: ssh.FingerprintSHA256(k.public), Created: timestamp(k.created), Tags: s.visibleTags(k.tags, now)}
		if withPublic {
			x.Public = string(ssh.MarshalAuthorizedKey(k.public))
		}
		out.Items = append(out.Items, x)
	}
	return answer{{"keySet", out}}, nil
}
