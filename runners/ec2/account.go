package ec2

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/launchplan/launch/runners"
)

// kindAccount is the AWS account in which the run has what it made; its key is the profile.
const kindAccount = "account"

// identityTime bounds the question whose the credentials are: where there is no answer, launch goes on without.
const identityTime = 10 * time.Second

// account tells what is gone from what other credentials cannot see: to an account, the instances of another one do not
// exist. It asks once, and only where something is not there.
type account struct {
	once  sync.Once
	wrong error
}

// accountRow is the row of an account that an answer has told of; none where it is known, or not told.
func (r *Runner) accountRow(id string) []runners.Resource {
	known := func(res runners.Resource) bool { return res.Key == homeKey(r.config) }
	if id == "" || slices.ContainsFunc(r.env.Ledger.List(kindAccount), known) {
		return nil
	}
	return []runners.Resource{{Kind: kindAccount, Key: homeKey(r.config), ID: id, Status: "live"}}
}

// accountOf is the account that an ARN names.
func accountOf(name string) string {
	a, err := arn.Parse(name)
	if err != nil {
		return ""
	}
	return a.AccountID
}

// otherAccount is an error where the credentials are those of another account than the one in which the run has what
// it made.
func (r *Runner) otherAccount(ctx context.Context) error {
	r.account.once.Do(func() {
		if aws.ToString(r.cloud.identity.Options().BaseEndpoint) != aws.ToString(r.cloud.ec2.Options().BaseEndpoint) {
			return // who answers knows the accounts of another cloud
		}
		for _, res := range r.env.Ledger.List(kindAccount) {
			if res.Key != homeKey(r.config) {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, identityTime)
			defer cancel()
			who, err := call(ctx, r.cloud, r.cloud.identity.GetCallerIdentity, &sts.GetCallerIdentityInput{})
			if err != nil {
				continue // a cloud that has no such service
			}
			if id := clean(aws.ToString(who.Account)); id != "" && id != res.ID {
				r.account.wrong = fmt.Errorf("these credentials are for the account %s, and the run has its machines in %s: set AWS_PROFILE, or the credentials, for that one", id, res.ID)
			}
		}
	})
	return r.account.wrong
}
