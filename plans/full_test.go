package plans

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/launchplan/launch/internal/ec2test"
	"github.com/launchplan/launch/internal/sandbox"
)

// The full plan is booted on instances of an endpoint that speaks the EC2 API: with real SSH
// servers, brokers, dispatchers, agents and processes. A machine dies and is replaced, and what
// stood on it is brought up again; at the end nothing is left.
func TestFullPlan(t *testing.T) {
	box := sandbox.New(t)
	cloud := newCloud(t, box)
	plan := copyOfFull(t, box)

	file := variables(t, box, cloud)
	appendTo(t, file, fmt.Sprintf("engine_pool = 2\npool_epuharness = %q\n", filepath.Join(plan, "bin/epuharness")))
	boot := box.Must(t, "launch boot "+plan+" -n fleet --var-file "+file)
	if !strings.Contains(boot, "run fleet is ready") {
		t.Fatalf("boot:\n%s", boot)
	}
	box.Must(t, "launch status fleet")

	// With another broker, everything is brought up again. What ran for the old ones is gone by then.
	if err := cloud.Kill(instanceOf(t, box, "machines.base[1]")); err != nil {
		t.Fatal(err)
	}
	if out := box.Must(t, "launch repair fleet"); strings.Contains(out, "still answers") {
		t.Errorf("the repair of a base node left processes:\n%s", out)
	}
	box.Must(t, "launch status fleet")

	engine := instanceOf(t, box, "machines.engine[0]")
	if err := cloud.Kill(engine); err != nil {
		t.Fatal(err)
	}
	if out, status := box.Run(t, "launch status fleet"); status != 1 {
		t.Errorf("status, with a machine dead, ends with %d:\n%s", status, out)
	}
	box.Must(t, "launch repair fleet")
	box.Must(t, "launch status fleet")
	if again := instanceOf(t, box, "machines.engine[0]"); again == engine {
		t.Errorf("the repair left %s in place", engine)
	}

	// The pool grows by one, and the run waits until that has joined.
	if out := box.Must(t, "launch reload fleet "+plan+" --var engine_pool=3 -y"); !strings.Contains(out, "run fleet is ready") {
		t.Errorf("reload:\n%s", out)
	}
	if running := cloud.Report().States["running"]; running != 8 {
		t.Errorf("%d machines run, want 3 base nodes, 2 engine nodes and a pool of 3", running)
	}
	box.Must(t, "launch status fleet")

	box.Must(t, "launch terminate fleet")
	left := cloud.Report()
	if diff := cmp.Diff(map[string]int{"terminated": 12}, left.States); diff != "" || left.KeyPairs+left.Groups+left.Templates != 0 {
		t.Errorf("left of 8 machines and four that replaced others, two of the pool among them (-want +got):\n%s%d key pairs, %d groups, %d templates", diff, left.KeyPairs, left.Groups, left.Templates)
	}
	if left := cloud.Running(); len(left) > 0 {
		t.Errorf("processes are left on machines that have ended: %v", left)
	}
}

// The same plan on hosts that are there already.
func TestFullPlanOnHosts(t *testing.T) {
	box := sandbox.New(t)
	cloud := newCloud(t, box)
	plan := copyOfFull(t, box)

	// The hosts are instances of another run, of which this one knows their addresses only.
	hosts := filepath.Join(box.Home, "hosts")
	write(t, filepath.Join(hosts, "plan.hcl"), fmt.Sprintf(`
		runner "ec2" "fleet" {
		  image         = "ami-12345678"
		  instance_type = "t3.micro"
		  ssh {
		    user = %q
		    port = %d
		  }
		}
		level "hosts" {
		  service "host" {
		    count  = 3
		    runner = runner.ec2.fleet
		    boot { script = "mkdir -p -m 700 $HOME/.ssh" }
		  }
		}
		output "hosts" { value = service.host[*].private_address }
	`, login(), cloud.SSHPort))
	box.Must(t, "launch boot "+hosts+" -n hosts")
	var addresses []string
	if err := json.Unmarshal([]byte(box.Must(t, "launch output hosts hosts -o json")), &addresses); err != nil || len(addresses) != 3 {
		t.Fatalf("hosts %v: %v", addresses, err)
	}
	keys, err := filepath.Glob(filepath.Join(box.Home, ".local/state/launch/runs/*/ec2-key"))
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v: %v", keys, err)
	}
	file := variables(t, box, cloud)
	appendTo(t, file, fmt.Sprintf("base_hosts = [%q]\nengine_hosts = [%q, %q]\nidentity_file = %q\nhost_key_policy = \"accept-new\"\n", addresses[0], addresses[1], addresses[2], keys[0]))

	box.Must(t, "launch boot "+plan+" -n fleet --var-file "+file)
	box.Must(t, "launch status fleet")

	// No dispatcher is there to end the processes: that is told, and they end with their agents.
	killDispatchers(t, cloud)
	out, status := box.Run(t, "launch terminate fleet")
	if status != 1 || !strings.Contains(out, "no dispatcher leads") || !strings.Contains(out, "does not hold at the only try: it still answers") {
		t.Errorf("terminate, without a dispatcher, ends with %d:\n%s", status, out)
	}
	if left := cloud.Running(); len(left) > 0 {
		t.Errorf("processes are left on the hosts: %v", left)
	}
	box.Must(t, "launch terminate fleet")
	box.Must(t, "launch terminate hosts")
}

func killDispatchers(t *testing.T, cloud *ec2test.Server) {
	t.Helper()
	killed := 0
	for pid := range cloud.Running() {
		argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(argv), "\x00dispatcher\x00") {
			killed++
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if killed != 2 {
		t.Skipf("%d dispatchers could be found and killed, want 2", killed)
	}
}

func newCloud(t *testing.T, box *sandbox.Sandbox) *ec2test.Server {
	cloud := ec2test.Start(t, ec2test.Options{
		Pending: ec2test.Delay{Min: 200 * time.Millisecond, Max: 400 * time.Millisecond},
		Boot:    ec2test.Delay{Min: 100 * time.Millisecond, Max: 200 * time.Millisecond},
		Ending:  100 * time.Millisecond,
		OpenSSH: ec2test.FindSSHD() != "",
		Faults:  ec2test.Faults{NotFoundFor: 100 * time.Millisecond, TagsHiddenFor: 200 * time.Millisecond},
	})
	for _, line := range cloud.Env() {
		name, value, _ := strings.Cut(line, "=")
		box.Set(name, value)
	}
	box.Set("AWS_CONFIG_FILE", os.DevNull)
	return cloud
}

// copyOfFull is the plan with the epuharness that it sends to its nodes.
func copyOfFull(t *testing.T, box *sandbox.Sandbox) string {
	dir := filepath.Join(box.Home, "plans")
	box.Must(t, fmt.Sprintf("cp -R plans %[1]s && mkdir -p %[1]s/full/bin && cp bin/epuharness %[1]s/full/bin/", dir))
	return filepath.Join(dir, "full")
}

func variables(t *testing.T, box *sandbox.Sandbox, cloud *ec2test.Server) string {
	file := filepath.Join(box.Home, "fleet.vars")
	write(t, file, fmt.Sprintf("image = \"ami-12345678\"\nssh_user = %q\nssh_port = %d\naddress = \"private\"\n", login(), cloud.SSHPort))
	return file
}

// login is who runs the test: the machines' programs run as that user.
func login() string {
	if user := os.Getenv("USER"); user != "" {
		return user
	}
	return "root"
}

func instanceOf(t *testing.T, box *sandbox.Sandbox, service string) string {
	t.Helper()
	var run struct {
		Levels []struct {
			Services []struct {
				Address    string `json:"address"`
				InstanceID string `json:"instance_id"`
			} `json:"services"`
		} `json:"levels"`
	}
	out := box.Must(t, "launch status fleet --cached -o json")
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatalf("status: %v\n%s", err, out)
	}
	for _, level := range run.Levels {
		for _, s := range level.Services {
			if s.Address == service {
				return s.InstanceID
			}
		}
	}
	t.Fatalf("there is no service %s", service)
	return ""
}

func appendTo(t *testing.T, path, content string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(before)+content)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
