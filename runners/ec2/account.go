package ec2

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/launchplan/launch/runners"
)

// kindAccount is the AWS account in which the run has what it made; its key says whose it is, see cloudKey.
const kindAccount = "account"

// cloudKey names the cloud of a configuration: its profile, and its endpoint where it names one. Each has its own
// accounts, and may have regions by the names of another's.
func cloudKey(c Config) string { return strings.TrimSpace(homeKey(c) + " " + c.Endpoint) }

// identityTime bounds the question whose the credentials are: where there is no answer, launch goes on without.
const identityTime = 10 * time.Second

// account tells what is gone from what cannot be seen: to an account, the instances of another one do not exist, nor do
// those of another cloud. It asks once, of AWS only where something is not there.
type account struct {
	once  sync.Once
	wrong error

	askedName sync.Once
	name      string // see credentialsOf; "" where that is not told
}

// accountRow is the row of an account that an answer has told of; none where it is known, or not told, or where a
// compatible cloud has another name for it when it is asked whose the credentials are: they could never be compared.
func (r *Runner) accountRow(ctx context.Context, id string) []runners.Resource {
	row := runners.Resource{Kind: kindAccount, Key: cloudKey(r.config), ID: id, Status: "live"}
	if id == "" || r.inLedger(row) || !r.cloud.isAWS() && r.credentialsOf(ctx) != id {
		return nil
	}
	return []runners.Resource{row}
}

// credentialsOf is the account of the credentials, where the endpoint of EC2 tells it.
func (r *Runner) credentialsOf(ctx context.Context) string {
	if aws.ToString(r.cloud.identity.Options().BaseEndpoint) != aws.ToString(r.cloud.ec2.Options().BaseEndpoint) {
		return "" // who answers knows the accounts of another cloud
	}
	r.account.askedName.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, identityTime)
		defer cancel()
		who, err := call(ctx, r.cloud, r.cloud.identity.GetCallerIdentity, &sts.GetCallerIdentityInput{}, func(o *sts.Options) {
			if !r.cloud.isAWS() {
				o.Retryer = aws.NopRetryer{} // what has no such service may answer anything
			}
		})
		if err == nil { // else a cloud that has no such service
			r.account.name = clean(aws.ToString(who.Account))
		}
	})
	return r.account.name
}

// accountOf is the account that an ARN names.
func accountOf(name string) string {
	a, err := arn.Parse(name)
	if err != nil {
		return ""
	}
	return a.AccountID
}

// otherAccount is an error where what is asked knows nothing of what the run made: the calls go to another endpoint than
// when it began, or the credentials are those of another account.
func (r *Runner) otherAccount(ctx context.Context) error {
	r.account.once.Do(func() {
		if r.account.wrong = r.otherEndpoint(); r.account.wrong == nil {
			r.account.wrong = r.otherCredentials(ctx)
		}
	})
	return r.account.wrong
}

func (r *Runner) otherEndpoint() error {
	for _, res := range r.env.Ledger.List(kindEndpoint) {
		if now := r.cloud.endpoint(); r.config.Endpoint == "" && res.Key == homeKey(r.config) && res.ID != now {
			return fmt.Errorf("the calls go to %s, and the run began with %s: set AWS_ENDPOINT_URL, or what else names the endpoint, as it was", endpointName(now), endpointName(res.ID))
		}
	}
	return nil
}

func endpointName(endpoint string) string {
	if endpoint == ofAWS {
		return "AWS itself"
	}
	return "the endpoint " + clean(endpoint)
}

func (r *Runner) otherCredentials(ctx context.Context) error {
	for _, res := range r.env.Ledger.List(kindAccount) {
		if res.Key != cloudKey(r.config) {
			continue
		}
		if id := r.credentialsOf(ctx); id != "" && id != res.ID {
			return fmt.Errorf("these credentials are for the account %s, and the run has its machines in %s: set AWS_PROFILE, or the credentials, for that one", id, res.ID)
		}
	}
	return nil
}
