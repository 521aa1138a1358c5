package ec2

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// kind is what an API error is about: what the operator does next depends on it.
type kind uint8

const (
	other kind = iota
	lacksCapacity
	overQuota
	notAllowed
	badCredentials
	wrongTime
	badParameter
	notFound
	throttled
	alreadyThere
	usedToken
	inUse
)

// kindByCode are the codes of the API reference that do not tell by their form what they are about, see kindOf.
var kindByCode = map[string]kind{
	"InsufficientInstanceCapacity":         lacksCapacity,
	"InsufficientHostCapacity":             lacksCapacity,
	"InsufficientReservedInstanceCapacity": lacksCapacity,
	"InsufficientCapacity":                 lacksCapacity,
	"ReservationCapacityExceeded":          lacksCapacity,
	"InsufficientFreeAddressesInSubnet":    lacksCapacity,
	"InsufficientAddressCapacity":          lacksCapacity,
	"InsufficientVolumeCapacity":           lacksCapacity,
	"UnfulfillableCapacity":                lacksCapacity,
	"SpotMaxPriceTooLow":                   lacksCapacity,
	"InstanceLimitExceeded":                overQuota,
	"VcpuLimitExceeded":                    overQuota,
	"MaxSpotInstanceCountExceeded":         overQuota,
	"MaxSpotFleetRequestCountExceeded":     overQuota,
	"VolumeLimitExceeded":                  overQuota,
	"MaxIOPSLimitExceeded":                 overQuota,
	"AddressLimitExceeded":                 overQuota,
	"NetworkInterfaceLimitExceeded":        overQuota,
	"KeyPairLimitExceeded":                 overQuota,
	"PrivateIpAddressLimitExceeded":        overQuota,
	"LimitExceeded":                        overQuota,
	"ResourceCountLimitExceeded":           overQuota,
	"UnauthorizedOperation":                notAllowed,
	"AccessDenied":                         notAllowed,
	"AccessDeniedException":                notAllowed,
	"OperationNotPermitted":                notAllowed,
	"OptInRequired":                        notAllowed,
	"PendingVerification":                  notAllowed,
	"Blocked":                              notAllowed,
	"AuthFailure":                          badCredentials,
	"InvalidClientTokenId":                 badCredentials,
	"SignatureDoesNotMatch":                badCredentials,
	"ExpiredToken":                         badCredentials,
	"RequestExpired":                       wrongTime,
	"RequestTimeTooSkewed":                 wrongTime,
	"RequestInTheFuture":                   wrongTime,
	"MissingAuthenticationToken":           badCredentials,
	"UnrecognizedClientException":          badCredentials,
	"InvalidSignatureException":            badCredentials,
	"ExpiredTokenException":                badCredentials,
	"InvalidInstanceID.Malformed":          badParameter,
	"IdempotentParameterMismatch":          usedToken,
	"IdempotentInstanceTerminated":         usedToken,
	"ResourceInUse":                        inUse,
	"ScalingActivityInProgress":            inUse,
	"ResourceContention":                   inUse,
	"RequestLimitExceeded":                 throttled,
	"Throttling":                           throttled,
	"ThrottlingException":                  throttled,
	"RequestThrottled":                     throttled,
	"TooManyRequestsException":             throttled,
	"EC2ThrottledException":                throttled,
	"RequestThrottledException":            throttled,
	"SlowDown":                             throttled,
	"BandwidthLimitExceeded":               throttled,
	"FilterLimitExceeded":                  badParameter,
}

// answerOf is what the API itself says, if it does.
func answerOf(err error) (smithy.APIError, bool) {
	e, ok := errors.AsType[smithy.APIError](err)
	// The SDK has a name for what it can read and finds no code in: a page of HTML that happens to be XML.
	return e, ok && e.ErrorCode() != "UnknownError"
}

func kindOf(err error) kind {
	if statusOf(err) == http.StatusTooManyRequests {
		return throttled // whatever stands before the API and says so
	}
	if _, ok := errors.AsType[*credentialsError](err); ok {
		return badCredentials // also where the service that gives them out refuses
	}
	e, ok := answerOf(err)
	if !ok {
		return other
	}
	code := e.ErrorCode()
	if k, ok := kindByCode[code]; ok {
		return k
	}
	switch { // the reference has many of a form, and compatible clouds have their own
	case strings.HasSuffix(code, "NotFound"), strings.HasSuffix(code, "NotFoundException"):
		return notFound
	case strings.HasSuffix(code, ".Duplicate"), strings.Contains(code, "AlreadyExists"):
		return alreadyThere
	case strings.HasPrefix(code, "Insufficient") && strings.HasSuffix(code, "Capacity"):
		return lacksCapacity
	case strings.HasSuffix(code, "LimitExceeded"), strings.HasSuffix(code, "QuotaExceeded"):
		return overQuota
	}
	for _, prefix := range []string{"Invalid", "Missing", "Unknown", "ValidationError", "Unsupported"} {
		if strings.HasPrefix(code, prefix) {
			return badParameter
		}
	}
	return other
}

// statusOf is the HTTP status of an error that the endpoint answered, and 0 for others.
func statusOf(err error) int {
	e, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || e.HTTPStatusCode() < http.StatusBadRequest {
		return 0 // an answer that broke off is none
	}
	return e.HTTPStatusCode()
}

// neverSent says whether a call failed before anything of it could reach the endpoint.
func neverSent(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}

// noEffect says whether an error means that this call has changed nothing. The status tells it for codes that nobody
// has listed, except where it is about time and order.
func noEffect(err error) bool {
	switch kindOf(err) {
	case lacksCapacity, overQuota, notAllowed, badCredentials, wrongTime, badParameter, notFound, throttled:
		return true
	}
	switch status := statusOf(err); status {
	case http.StatusRequestTimeout, http.StatusConflict:
		return false
	default:
		return neverSent(err) || status >= 400 && status < 500
	}
}

// refused says whether an endpoint answers that it does not do such a call at all, or not with these parameters:
// what compatible clouds leave out. Repeating the call changes nothing.
func refused(err error) bool {
	switch kindOf(err) {
	case badParameter, notFound:
		return true
	case other:
		_, readable := answerOf(err)
		status := statusOf(err)
		return noEffect(err) && status != 0 || status == http.StatusNotImplemented || status == http.StatusInternalServerError && !readable
	}
	return false
}

// lacksAction says whether an endpoint answers that it does not know the action of a call.
func lacksAction(err error) bool {
	e, ok := answerOf(err)
	if ok && (e.ErrorCode() == "InvalidAction" || strings.HasPrefix(e.ErrorCode(), "UnknownOperation") || strings.HasPrefix(e.ErrorCode(), "NotImplemented")) {
		return true
	}
	return statusOf(err) == http.StatusNotImplemented
}

// about says whether a refusal names a parameter, in whatever spelling.
func about(err error, parameter string) bool {
	api, ok := answerOf(err)
	text := strings.NewReplacer("_", "", " ", "", "-", "")
	return ok && refused(err) && strings.Contains(strings.ToLower(text.Replace(api.ErrorMessage())), parameter)
}

// aboutTags says whether a call was refused for the tags that it gives to what it makes.
func aboutTags(err error) bool { return about(err, "tagspecification") || about(err, "taggable") }

// An Error is an answer of the API that the operator has to deal with. Its text
// is a sentence that says what to do.
type Error struct {
	Doing string // "start 5 instances of m7g.large"
	Code  string // of the API; "" where it did not answer
	Err   error

	kind   kind
	advice string
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	switch {
	case e.Code == "" && e.advice != "":
		return fmt.Sprintf("%s: %s (%s)", e.Doing, e.advice, clean(shortened(e.Err).Error()))
	case e.Code == "":
		return fmt.Sprintf("%s: %v", e.Doing, shortened(e.Err))
	}
	return fmt.Sprintf("%s: %s (%s: %s)", e.Doing, e.advice, e.Code, messageOf(e.Err))
}

// explain turns an error of a call into a sentence. Errors that are not of the
// API (the context's, launch's own) get the subject only.
func explain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	told := &Error{Doing: fmt.Sprintf(format, args...), Err: err, kind: kindOf(err)}
	api, answered := answerOf(err)
	_, unsigned := errors.AsType[*credentialsError](err)
	switch {
	case unsigned:
		told.advice = "there are no AWS credentials to sign the call with; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in again"
	case answered:
		told.Code, told.advice = api.ErrorCode(), adviceOn(err)
	case neverSent(err):
		told.advice = "the endpoint cannot be reached; check the region, the endpoint and the network"
	}
	return told
}

// adviceOn is what the operator can do about an answer of the API.
func adviceOn(err error) string {
	switch k := kindOf(err); {
	case k == lacksCapacity:
		return "EC2 does not have the capacity at the moment; try again later, or with another instance_type, subnet or availability_zone"
	case k == overQuota:
		return "that is above a quota of this AWS account; end something, ask AWS for more, or ask for less"
	case k == notAllowed:
		return "these credentials may not do that; the account's administrator can allow it"
	case k == badCredentials:
		return "AWS does not accept these credentials; check AWS_PROFILE, AWS_ACCESS_KEY_ID or the login they come from, that they are for this region, and this machine's clock"
	case k == wrongTime:
		return "this machine's clock and that of AWS differ; set it right and try again"
	case k == inUse:
		return "it is busy at the moment; try again later"
	case lacksAction(err):
		return "this cloud cannot do that"
	case about(err, "metadataoption"):
		return "this cloud takes no metadata options; set metadata = \"unset\" in the runner block"
	case k == badParameter, k == notFound:
		return "the request is wrong; correct the runner block, then `launch reload`"
	}
	return "the AWS API refuses"
}

// encoded is the authorization failure message, which only AWS can read.
var encoded = regexp.MustCompile(`(?s)\s*Encoded authorization failure message:.*`)

// maxMessage bounds what an endpoint can make launch say.
const maxMessage = 500

func messageOf(err error) string {
	api, ok := answerOf(err)
	if !ok {
		return clean(err.Error())
	}
	return clean(encoded.ReplaceAllString(api.ErrorMessage(), ""))
}

// clean makes text from outside printable, and short.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return strings.TrimSpace(s)
}

// shortened drops the SDK's own frames: "operation error EC2: RunInstances,
// exceeded maximum number of attempts, 5, https response error …".
func shortened(err error) error {
	if e, ok := errors.AsType[*credentialsError](err); ok {
		return e.error
	}
	if status := statusOf(err); status != 0 {
		return fmt.Errorf("the endpoint answers %d (%s) without an error that can be read: is it one of EC2?", status, http.StatusText(status))
	}
	for {
		switch frame := err.(type) {
		case *smithy.OperationError:
			err = frame.Err
		case *retry.MaxAttemptsError:
			err = frame.Err
		case *awshttp.ResponseError:
			err = frame.ResponseError
		case *smithyhttp.ResponseError:
			err = frame.Err
		case *smithyhttp.RequestSendError:
			err = frame.Err
		default:
			return err
		}
	}
}
