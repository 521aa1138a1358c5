package ec2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/time/rate"
)

// How calls are paced and repeated.
const (
	// The reference allows RunInstances and its like a burst and a few calls a
	// second, Describe calls more. Within a run launch stays below that by
	// itself; other clients of the account are what the adaptive retry is for.
	callRate  = 5
	callBurst = 40

	// attempts of one call within the SDK, with exponential delay and jitter up
	// to maxDelay: enough for a broken connection or a hiccup of the service.
	attempts = 5
	maxDelay = 5 * time.Second

	// throttlePause is what launch waits, over and over, where the SDK's
	// attempts were used up by throttling: being throttled is no failure.
	throttlePause = 3 * time.Second

	// answerTimeout bounds one attempt, to the end of its answer: the service answers within seconds. startTimeout is
	// that of RunInstances on other clouds, of which some answer when they have made one machine after the other.
	answerTimeout = time.Minute
	startTimeout  = 5 * time.Minute

	// connections to the endpoint that are kept; calls under way are fewer.
	keptConnections = 16
)

// A cloud makes API calls to one region.
type cloud struct {
	ec2      *ec2.Client
	scaling  *autoscaling.Client
	identity *sts.Client
	retryer  aws.RetryerV2
	http     *http.Client // of all of them
	region   string
	limit    *rate.Limiter
	note     func(text string)

	filters      sync.Map    // by their names: whether this cloud heeds filters, where that has shown
	takesNoTags  atomic.Bool // this cloud refuses tags in a call that makes something
	takesNoToken atomic.Bool // this cloud refuses client tokens
}

// openCloud finds region, credentials and endpoint as the AWS SDK does, except
// for what the configuration says. It makes no call.
func openCloud(ctx context.Context, c Config, note func(string)) (*cloud, error) {
	// The SDK logs to stderr otherwise, in the middle of launch's own output.
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if c.Region != "" {
		load = append(load, config.WithRegion(c.Region))
	}
	if c.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(c.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("no AWS region: set region in the runner block, AWS_REGION, or a region in ~/.aws/config")
	}
	cfg.Credentials = tellingCredentials{cfg.Credentials}
	client := httpClient(cfg)
	retryer := newRetryer()
	api := &cloud{
		ec2: ec2.NewFromConfig(cfg, func(o *ec2.Options) {
			o.HTTPClient, o.Retryer = sending(client), retryer
			o.IdempotencyTokenProvider = nil // a token that nobody has recorded is of no use, and may be refused
			if c.Endpoint != "" {
				o.BaseEndpoint = aws.String(c.Endpoint)
			}
		}),
		scaling: autoscaling.NewFromConfig(cfg, func(o *autoscaling.Options) {
			o.HTTPClient, o.Retryer = sending(client), retryer
			if c.Endpoint != "" {
				o.BaseEndpoint = aws.String(c.Endpoint)
			}
		}),
		identity: sts.NewFromConfig(cfg, func(o *sts.Options) {
			o.HTTPClient, o.Retryer = sending(client), retryer
			if c.Endpoint != "" {
				o.BaseEndpoint = aws.String(c.Endpoint)
			}
		}),
		retryer: retryer,
		http:    client,
		region:  cfg.Region,
		limit:   rate.NewLimiter(callRate, callBurst),
		note:    note,
	}
	for _, endpoint := range []*string{api.ec2.Options().BaseEndpoint, api.scaling.Options().BaseEndpoint} {
		if u, err := url.Parse(aws.ToString(endpoint)); endpoint != nil && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("the endpoint %q is no URL: it has to begin with http:// or https://", *endpoint)
		}
	}
	return api, nil
}

// tellingCredentials are those that the SDK finds, with an error of a type that can be told from the API's own.
type tellingCredentials struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (p tellingCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = &credentialsError{err}
	}
	return found, err
}

type credentialsError struct{ error }

func (e *credentialsError) Unwrap() error { return e.error }

// httpClient is the SDK's own, with what the configuration says of it
// (AWS_CA_BUNDLE), and our limits.
func httpClient(cfg aws.Config) *http.Client {
	sdk, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		sdk = awshttp.NewBuildableClient()
	}
	return sdk.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = keptConnections
	}).WithTimeout(answerTimeout).Freeze().(*http.Client)
}

// sending is how calls go through a client.
func sending(client *http.Client) smithyhttp.ClientDoFunc { return inBothShapes(SendsWhole(client)) }

// SendsWhole hands a request's body to client as a copy. The SDK closes the body
// when the answer begins; where the endpoint is near, the transport may not have
// seen the body's end by then, takes the close for a failure, and drops the
// connection with the answer.
func SendsWhole(client *http.Client) smithyhttp.ClientDoFunc {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return client.Do(r)
	}
}

// newRetryer is the SDK's adaptive one, except that what will not change by
// itself is told at once: the service reports a lack of capacity as a server
// error, which the SDK would try again.
func newRetryer() *retry.AdaptiveMode {
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(so *retry.StandardOptions) {
			so.MaxAttempts = attempts
			so.MaxBackoff = maxDelay
			so.RateLimiter = ratelimit.None // attempts are bounded already
			so.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if k := kindOf(err); k == lacksCapacity || k == overQuota {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			})}, so.Retryables...)
		})
	})
}

// A choosyRetryer is the SDK's, for those errors alone that may be tried again.
type choosyRetryer struct {
	aws.RetryerV2
	may func(error) bool
}

// IsErrorRetryable implements aws.Retryer.
func (c choosyRetryer) IsErrorRetryable(err error) bool {
	return c.may(err) && c.RetryerV2.IsErrorRetryable(err)
}

// retrying is the option of a call that the SDK may repeat only after errors of which may holds.
func (c *cloud) retrying(may func(error) bool) func(*ec2.Options) {
	return func(o *ec2.Options) { o.Retryer = choosyRetryer{c.retryer, may} }
}

// starting is the option of calls that start instances.
func (c *cloud) starting(o *ec2.Options) { o.HTTPClient = sending(c.startClient()) }

func (c *cloud) startClient() *http.Client {
	client := *c.http
	if !c.isAWS() {
		client.Timeout = startTimeout
	}
	return &client
}

// unlessRefused is the option of a call that compatible clouds may refuse, with an error of any kind.
func (c *cloud) unlessRefused() func(*ec2.Options) {
	return c.retrying(func(err error) bool { return !refused(err) })
}

// call makes one API call when the bucket has a token for it, and again, with
// a pause, for as long as all that goes wrong is that it is throttled. A call that comes at a wrong time is made again
// at once: by the answer the SDK knows the right one.
func call[In, Out, Opt any](ctx context.Context, c *cloud, f func(context.Context, In, ...func(*Opt)) (Out, error), in In, options ...func(*Opt)) (Out, error) {
	told := false
	for try := 1; ; try++ {
		if err := c.limit.Wait(ctx); err != nil {
			var none Out
			return none, context.Cause(ctx)
		}
		out, err := f(ctx, in, options...)
		if kindOf(err) == wrongTime && try < attempts {
			continue
		}
		if err == nil || kindOf(err) != throttled || ctx.Err() != nil {
			if err != nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return out, err
		}
		if !told {
			c.note("the EC2 API throttles calls of this account; launch slows down and goes on")
			told = true
		}
		if !pauseFor(ctx, throttlePause) {
			return out, context.Cause(ctx)
		}
	}
}

// close lets go of idle connections.
func (c *cloud) close() { c.http.CloseIdleConnections() }
