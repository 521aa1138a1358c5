package ec2test_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/launchplan/launch/internal/ec2test"
	runner "github.com/launchplan/launch/runners/ec2"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

const image = "ami-12345678"

func start(t *testing.T, opt ec2test.Options) (*ec2test.Server, *ec2.Client) {
	t.Helper()
	s := ec2test.Start(t, opt)
	return s, ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: &s.URL, HTTPClient: runner.SendsWhole(http.DefaultClient),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEC2TEST", "secret", ""),
		Retryer:     retry.AddWithMaxAttempts(aws.NopRetryer{}, 1),
	})
}

// An endpoint is that of its region, as the real ones are.
func TestOtherRegionsAreRefused(t *testing.T) {
	_, client := start(t, ec2test.Options{})
	_, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}, func(o *ec2.Options) { o.Region = "us-east-1" })
	if code(err) != "AuthFailure" {
		t.Errorf("a call signed for another region: %v", err)
	}
}

// Whatever comes of an instance, the call that starts it tells of a pending one.
func TestNewInstancesArePending(t *testing.T) {
	_, client := start(t, ec2test.Options{Faults: ec2test.Faults{DieStarting: 1}})
	in := &ec2.RunInstancesInput{ImageId: aws.String(image), MinCount: aws.Int32(2), MaxCount: aws.Int32(2)}
	out, err := client.RunInstances(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range out.Instances {
		if i.State.Name != "pending" || i.PublicIpAddress != nil {
			t.Errorf("%s is %s at %s", *i.InstanceId, i.State.Name, aws.ToString(i.PublicIpAddress))
		}
	}
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

func request(n int32) *ec2.RunInstancesInput {
	return &ec2.RunInstancesInput{ImageId: aws.String(image), InstanceType: "t3.micro", MinCount: aws.Int32(n), MaxCount: aws.Int32(n)}
}

// waitFor asks at each change until ok holds. The time only ends a test that hangs.
func waitFor(t *testing.T, s *ec2test.Server, what string, ok func() bool) {
	t.Helper()
	hangs := time.After(time.Minute)
	for {
		changed := s.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-hangs:
			t.Fatalf("%s: it never came", what)
		}
	}
}

func describe(t *testing.T, c *ec2.Client, ids ...string) []types.Instance {
	t.Helper()
	out, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: ids})
	if err != nil {
		t.Fatal(err)
	}
	var all []types.Instance
	for _, r := range out.Reservations {
		all = append(all, r.Instances...)
	}
	return all
}

func stateOf(t *testing.T, c *ec2.Client, id string) types.InstanceStateName {
	return describe(t, c, id)[0].State.Name
}

func TestInstanceFromStartToEnd(t *testing.T) {
	kinds := map[string]ec2test.Options{
		"in this process": {},
		"openssh":         {OpenSSH: true},
	}
	for name, opt := range kinds {
		t.Run(name, func(t *testing.T) {
			if opt.OpenSSH && ec2test.FindSSHD() == "" {
				if os.Getenv("CI") != "" {
					t.Fatal("there is no sshd")
				}
				t.Skip("there is no sshd")
			}
			opt.Pending = ec2test.Delay{Min: 20 * time.Millisecond}
			opt.Ending = 20 * time.Millisecond
			s, c := start(t, opt)
			signer, err := ssh.ParsePrivateKey([]byte(clientKey))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.ImportKeyPair(t.Context(), &ec2.ImportKeyPairInput{KeyName: aws.String("k"), PublicKeyMaterial: ssh.MarshalAuthorizedKey(signer.PublicKey())}); err != nil {
				t.Fatal(err)
			}
			in := request(1)
			in.KeyName = aws.String("k")
			in.UserData = aws.String(base64.StdEncoding.EncodeToString([]byte("#cloud-config\nssh_keys:\n  ed25519_private: |\n" +
				indent(hostKey) + "write_files:\n- path: /etc/motd\n  content: hello\nruncmd:\n- touch ran\n")))
			run, err := c.RunInstances(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			id := *run.Instances[0].InstanceId
			if got := run.Instances[0].State.Name; got != "pending" {
				t.Errorf("the state right after RunInstances is %s, want pending", got)
			}
			waitFor(t, s, "console output", func() bool {
				out, err := c.GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: &id})
				if err != nil {
					t.Fatal(err)
				}
				text, _ := base64.StdEncoding.DecodeString(aws.ToString(out.Output))
				return strings.Contains(string(text), "Cloud-init finished")
			})
			i := describe(t, c, id)[0]
			host, err := ssh.ParsePrivateKey([]byte(hostKey))
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range []string{*i.PrivateIpAddress, *i.PublicIpAddress} {
				conn, err := ssh.Dial("tcp", net.JoinHostPort(address, strconv.Itoa(s.SSHPort)), &ssh.ClientConfig{
					User: loginName(), Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
					HostKeyCallback: ssh.FixedHostKey(host.PublicKey()),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				session, err := conn.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				out, err := session.CombinedOutput(`pwd; echo $HOME; cat ../etc/motd; ls ../ran; setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!; exit 3`)
				if e, ok := errors.AsType[*ssh.ExitError](err); !ok || e.ExitStatus() != 3 {
					t.Errorf("the program ended with %v, want status 3", err)
				}
				lines := strings.Split(strings.TrimSpace(string(out)), "\n")
				if len(lines) != 4 || lines[0] != lines[1] {
					t.Fatalf("on the machine: %q", lines)
				}
				tail := strings.TrimPrefix(lines[2], "hello")
				if tail != "../ran" {
					t.Fatalf("on the machine: %q", lines)
				}
				pid, err := strconv.Atoi(lines[3])
				if err != nil || syscall.Kill(pid, 0) != nil {
					t.Fatalf("no process %q", lines[3])
				}
				defer func() {
					waitFor(t, s, "end of the process", func() bool { return !runs(pid) })
				}()
			}
			if _, err := c.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}}); err != nil {
				t.Fatal(err)
			}
			waitFor(t, s, "end of the instance", func() bool { return stateOf(t, c, id) == "terminated" })
		})
	}
}

// runs holds for a process that is there and no zombie.
func runs(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func loginName() string {
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		return "root"
	}
	return strings.TrimSpace(string(out))
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") + "\n"
}

func TestClientTokenStartsOnce(t *testing.T) {
	s, c := start(t, ec2test.Options{})
	in := request(3)
	in.ClientToken = aws.String("token-1")
	s.SetFaults(ec2test.Faults{LoseAnswers: map[string]int{"RunInstances": 1}})
	if _, err := c.RunInstances(t.Context(), in); err == nil {
		t.Fatal("the answer was not lost")
	}
	again, err := c.RunInstances(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(again.Instances); n != 3 || s.Report().Started != 3 {
		t.Errorf("%d instances in the answer, %d started, want 3 and 3", n, s.Report().Started)
	}
	in.InstanceType = "t3.small"
	if _, err := c.RunInstances(t.Context(), in); code(err) != "IdempotentParameterMismatch" {
		t.Errorf("another type with the same token: %v", err)
	}
}

func TestMistakesAndLimits(t *testing.T) {
	s, c := start(t, ec2test.Options{Groups: []string{"web"}})
	limits := func(f ec2test.Faults) { s.SetFaults(f) }
	none := 0
	for want, change := range map[string]func(*ec2.RunInstancesInput){
		"InvalidAMIID.NotFound":        func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("ami-87654321") },
		"InvalidAMIID.Malformed":       func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("debian") },
		"InvalidGroup.NotFound":        func(in *ec2.RunInstancesInput) { in.SecurityGroupIds = []string{"sg-1"} },
		"InvalidSubnetID.NotFound":     func(in *ec2.RunInstancesInput) { in.SubnetId = aws.String("subnet-1") },
		"InvalidKeyPair.NotFound":      func(in *ec2.RunInstancesInput) { in.KeyName = aws.String("nobody") },
		"InvalidParameterValue":        func(in *ec2.RunInstancesInput) { in.InstanceType = "m99.large" },
		"DryRunOperation":              func(in *ec2.RunInstancesInput) { in.DryRun = aws.Bool(true) },
		"InsufficientInstanceCapacity": func(*ec2.RunInstancesInput) { limits(ec2test.Faults{Capacity: &none}) },
		"VcpuLimitExceeded":            func(*ec2.RunInstancesInput) { limits(ec2test.Faults{MaxVCPUs: 1}) },
		"MaxSpotInstanceCountExceeded": func(in *ec2.RunInstancesInput) {
			limits(ec2test.Faults{MaxSpot: &none})
			in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: "spot"}
		},
		"RequestLimitExceeded": func(*ec2.RunInstancesInput) { limits(ec2test.Faults{StartRate: 1, StartBurst: 0.5}) },
		"UnauthorizedOperation": func(*ec2.RunInstancesInput) {
			limits(ec2test.Faults{Refuse: map[string]ec2test.Error{"RunInstances": {Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation."}}})
		},
	} {
		t.Run(want, func(t *testing.T) {
			limits(ec2test.Faults{})
			in := request(2)
			change(in)
			if _, err := c.RunInstances(t.Context(), in); code(err) != want {
				t.Errorf("RunInstances: %v", err)
			}
		})
	}
	if n := s.Report().Started; n != 0 {
		t.Errorf("%d instances were started", n)
	}
	three := 3
	limits(ec2test.Faults{Capacity: &three})
	in := request(5)
	in.MinCount = aws.Int32(1)
	out, err := c.RunInstances(t.Context(), in)
	if err != nil || len(out.Instances) != 3 {
		t.Errorf("capacity for 3 of 1 to 5: %v, %v", out, err)
	}
}

func TestPagesAndFilters(t *testing.T) {
	s, c := start(t, ec2test.Options{})
	in := request(12)
	in.TagSpecifications = []types.TagSpecification{{ResourceType: "instance", Tags: []types.Tag{{Key: aws.String("launch:run"), Value: aws.String("a/b")}}}}
	if _, err := c.RunInstances(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RunInstances(t.Context(), request(1)); err != nil {
		t.Fatal(err)
	}
	pages := ec2.NewDescribeInstancesPaginator(c, &ec2.DescribeInstancesInput{
		MaxResults: aws.Int32(5),
		Filters: []types.Filter{
			{Name: aws.String("tag:launch:run"), Values: []string{"x", "a/*"}},
			{Name: aws.String("instance-state-name"), Values: []string{"pending", "running"}},
		},
	})
	var sizes []int
	seen := map[string]bool{}
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range p.Reservations {
			for _, i := range r.Instances {
				n++
				seen[*i.InstanceId] = true
			}
		}
		sizes = append(sizes, n)
	}
	if diff := cmp.Diff([]int{5, 5, 2}, sizes); diff != "" || len(seen) != 12 {
		t.Errorf("pages (-want +got):\n%s%d different instances", diff, len(seen))
	}
	_, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-1"}})
	if code(err) != "InvalidInstanceID.NotFound" {
		t.Errorf("an unknown id: %v", err)
	}
	s.SetFaults(ec2test.Faults{NotFoundFor: time.Hour, TagsHiddenFor: time.Hour})
	out, err := c.RunInstances(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{*out.Instances[0].InstanceId}})
	if code(err) != "InvalidInstanceID.NotFound" {
		t.Errorf("a new id: %v", err)
	}
}

func TestThrottling(t *testing.T) {
	s, c := start(t, ec2test.Options{Faults: ec2test.Faults{Rate: 0.001, Burst: 2}})
	var codes []string
	for range 3 {
		_, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
		codes = append(codes, code(err))
	}
	if diff := cmp.Diff([]string{"<nil>", "<nil>", "RequestLimitExceeded"}, codes); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if got := s.Report(); got.Total != 3 || got.Errors["RequestLimitExceeded"] != 1 {
		t.Errorf("report %+v", got)
	}
}

func TestDeathAndImpairment(t *testing.T) {
	s, c := start(t, ec2test.Options{})
	out, err := c.RunInstances(t.Context(), request(2))
	if err != nil {
		t.Fatal(err)
	}
	dead, sick := *out.Instances[0].InstanceId, *out.Instances[1].InstanceId
	waitFor(t, s, "checks", func() bool {
		st, err := c.DescribeInstanceStatus(t.Context(), &ec2.DescribeInstanceStatusInput{InstanceIds: []string{sick}})
		if err != nil {
			t.Fatal(err)
		}
		return len(st.InstanceStatuses) == 1 && st.InstanceStatuses[0].InstanceStatus.Status == "ok"
	})
	if err := errors.Join(s.Kill(dead), s.Impair(sick)); err != nil {
		t.Fatal(err)
	}
	st, err := c.DescribeInstanceStatus(t.Context(), &ec2.DescribeInstanceStatusInput{IncludeAllInstances: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range st.InstanceStatuses {
		got[*i.InstanceId] = string(i.InstanceState.Name) + " " + string(i.SystemStatus.Status)
	}
	if diff := cmp.Diff(map[string]string{dead: "terminated not-applicable", sick: "running impaired"}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestUnsignedCallIsRefused(t *testing.T) {
	s, c := start(t, ec2test.Options{AccessKeyID: "AKIDOTHER"})
	_, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
	if code(err) != "AuthFailure" {
		t.Errorf("another key: %v", err)
	}
	if n := s.Report().Errors["AuthFailure"]; n != 1 {
		t.Errorf("%d refusals", n)
	}
}

func TestTokenOfAnEndedInstance(t *testing.T) {
	s, c := start(t, ec2test.Options{})
	in := request(2)
	in.ClientToken = aws.String("token")
	out, err := c.RunInstances(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(*out.Instances[0].InstanceId); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RunInstances(t.Context(), in); code(err) != "IdempotentInstanceTerminated" {
		t.Errorf("RunInstances = %v", err)
	}
}

func TestWhatCompatibleCloudsLeaveOut(t *testing.T) {
	s, c := start(t, ec2test.Options{Faults: ec2test.Faults{OnlyMinCount: true, IgnoreTokens: true, NoTagSpecs: true, IgnoreFilters: true}})
	in := request(2)
	in.MaxCount, in.ClientToken = aws.Int32(5), aws.String("token")
	in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}}
	for range 2 {
		out, err := c.RunInstances(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Instances) != 2 || len(out.Instances[0].Tags) != 0 {
			t.Errorf("started %+v", out.Instances)
		}
	}
	byToken := &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("client-token"), Values: []string{"another"}}}}
	all, err := c.DescribeInstances(t.Context(), byToken)
	if err != nil || len(all.Reservations) != 2 {
		t.Errorf("DescribeInstances = %+v, %v, want both reservations", all, err)
	}
	s.SetFaults(ec2test.Faults{UnknownFilters: []string{"client-token"}})
	_, err = c.DescribeInstances(t.Context(), byToken)
	if _, api := errors.AsType[smithy.APIError](err); err == nil || api || !strings.Contains(err.Error(), "StatusCode: 500") {
		t.Errorf("DescribeInstances = %v, want a page of status 500", err)
	}
}
