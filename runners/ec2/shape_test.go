package ec2

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// A compatible cloud may answer in the shape of another protocol.
func TestErrorsInAnyShape(t *testing.T) {
	const inside = "<Code>InvalidKeyPair.NotFound</Code><Message>none &amp; nowhere</Message>"
	for name, body := range map[string]string{
		"ec2":   "<?xml version=\"1.0\"?><Response><Errors><Error>" + inside + "</Error></Errors><RequestID>1</RequestID></Response>",
		"query": `<ErrorResponse xmlns="http://example.com/"><Error><Type>Sender</Type>` + inside + "</Error><RequestId>1</RequestId></ErrorResponse>",
		"bare":  "<Error>" + inside + "</Error>",
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				w.Write([]byte(body))
			}))
			t.Cleanup(endpoint.Close)
			c, err := openCloud(t.Context(), Config{Endpoint: endpoint.URL}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.close)
			const want = "look: the request is wrong; correct the runner block, then `launch reload` (InvalidKeyPair.NotFound: none & nowhere)"
			_, err = c.ec2.DeleteKeyPair(t.Context(), &ec2.DeleteKeyPairInput{KeyName: aws.String("k")})
			if got := explain(err, "look"); got == nil || got.Error() != want {
				t.Errorf("EC2: %v", got)
			}
			_, err = c.scaling.DescribeAutoScalingGroups(t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
			if got := explain(err, "look"); got == nil || got.Error() != want {
				t.Errorf("Auto Scaling: %v", got)
			}
		})
	}
}
