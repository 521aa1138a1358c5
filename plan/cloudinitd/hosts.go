package cloudinitd

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A place says where a service runs, in the new plan's words.
type place struct {
	on     *oldService // on the VM of this service
	copy   int
	runner string // "runner.ssh.default"; "" is this machine
	host   expr   // for ssh
	remark string
}

// A runner block of the new plan. Services with the same settings share it.
type runnerBlock struct {
	kind, name string
	body       string
	comment    string
}

// place decides where a service runs: on this machine, on a new VM, on that of another service, or on a host.
func (w *writer) place(svc *oldService) place {
	if svc.local {
		if svc.launch {
			w.warn(svc.rng, "No VM is started", "[svc-%s] has an image and local_exe: cloudinit.d starts a VM for it and runs its programs on this machine all the same. The imported plan runs them here and starts no VM.", svc.name)
		}
		return place{}
	}
	if svc.launch {
		return place{runner: w.ec2Runner(svc)}
	}
	s := svc.settings["hostname"]
	if s == nil {
		return place{} // said already
	}
	host := w.settingText(s, scope{self: target{svc, 0}, user: svc})
	if text, constant := host.literal(); constant && isLocalhost(text) {
		return w.here(svc, s, text)
	}
	if text := w.present(host); isLocalhost(text) {
		w.warnOnce(s.opt.rng, "Ssh to this machine", "The host of [svc-%s] is %s now, and may be another one on the day of a boot. So the imported plan reaches it by ssh, as cloudinit.d did. To run its programs on this machine directly, take runner and host out of service.%s.", svc.name, text, svc.ident)
	}
	if len(host.parts) == 1 && host.parts[0].svc != nil && host.parts[0].attr == "address" {
		p := host.parts[0]
		if w.sameLogin(svc, p.svc) {
			return place{on: p.svc, copy: p.copy}
		}
	}
	w.require(host)
	return place{runner: w.sshRunner(svc), host: host}
}

// here is the place of a service whose host is always this machine.
func (w *writer) here(svc *oldService, s *setting, name string) place {
	remark := fmt.Sprintf("cloudinit.d reached %s by ssh; here its programs run on this machine directly", name)
	if user := svc.settings["ssh_username"]; user != nil {
		remark += ", as the user who runs launch and not as " + user.shown()
		if user.env == "" {
			w.warnOnce(s.opt.rng, "No ssh to this machine", "cloudinit.d runs the programs of [svc-%s] as %s, by ssh to %s. The imported plan runs them on this machine directly, as the user who runs launch. To go through ssh, give the service a runner and a host.", svc.name, user.text, name)
		}
	}
	return place{remark: remark}
}

// present is a host as it is called now, as far as that is known.
func (w *writer) present(host expr) string {
	var b strings.Builder
	for _, p := range host.parts {
		text, known := p.text, p.isText()
		for env, name := range w.envs {
			if p.code == "var."+name {
				text, known = w.lookupEnv(env)
			}
		}
		for global, name := range w.needed {
			if g := w.plan.globals[global]; g != nil && p.code == "var."+name {
				text, known = g.text, true
			}
		}
		if !known {
			return ""
		}
		b.WriteString(text)
	}
	return b.String()
}

// isLocalhost recognises names under which a machine knows itself.
func isLocalhost(host string) bool {
	switch strings.ToLower(host) {
	case "localhost", "localhost.localdomain", "localhost4", "127.0.0.1", "::1", "ip6-localhost":
		return true
	}
	return false
}

func (s *setting) shown() string {
	if s.env != "" {
		return "$" + s.env
	}
	return s.text
}

// sameLogin says whether two services log in with the same user and key.
func (w *writer) sameLogin(a, b *oldService) bool {
	for _, key := range []string{"ssh_username", "localsshkeypath"} {
		x, y := a.settings[key], b.settings[key]
		if (x == nil) != (y == nil) || x != nil && x.shown() != y.shown() {
			return false
		}
	}
	return true
}

func (w *writer) sshRunner(svc *oldService) string {
	var b strings.Builder
	w.login(&b, svc)
	b.WriteString("host_key_policy = \"accept-new\"\n")
	return w.runner("ssh", svc, []string{"ssh_username", "localsshkeypath"}, b.String(), "cloudinit.d did not check host keys. A key is accepted when first seen, and then holds for the run.")
}

// login writes the attributes of how to log in.
func (w *writer) login(b *strings.Builder, svc *oldService) {
	if s := svc.settings["ssh_username"]; s != nil {
		fmt.Fprintf(b, "user = %s\n", w.ahead(svc, s))
	}
	if scp, ssh := svc.settings["scp_username"], svc.settings["ssh_username"]; scp != nil && (ssh == nil || scp.shown() != ssh.shown()) {
		w.warnOnce(scp.opt.rng, "No user of its own for scp", "cloudinit.d copies files as scp_username, %s, and runs programs as ssh_username. The imported plan does both as ssh_username.", scp.shown())
	}
	if s := svc.settings["localsshkeypath"]; s != nil {
		fmt.Fprintf(b, "identity_file = %s\n", w.identityFile(s))
	}
}

// identityFile is where a private key is. It stays there: a plan is no place for it.
func (w *writer) identityFile(s *setting) string {
	if s.env != "" {
		return w.keyPath(s).hcl(nil)
	}
	path := w.absolute(s.dir, s.text)
	if _, err := os.Stat(path); err != nil {
		w.warnOnce(s.opt.rng, "No SSH key there", "The private key %s: %v. The imported plan refers to it all the same.", path, sayWhy(err))
	}
	if strings.HasPrefix(s.text, "~/") {
		return quote(s.text)
	}
	return quote(path)
}

// ec2Runner is the runner that starts a service's VM.
func (w *writer) ec2Runner(svc *oldService) string {
	var b strings.Builder
	region, endpoint := w.region(svc)
	fmt.Fprintf(&b, "region = %s\n", region)
	if endpoint != "" {
		fmt.Fprintf(&b, "endpoint = %s\n", endpoint)
	}
	image := svc.settings["image"]
	fmt.Fprintf(&b, "image = %s\n", w.ahead(svc, image))
	w.require(w.settingText(image, scope{self: target{svc, 0}, user: svc}))
	w.checkEC2(image, ec2Image, "an image of EC2 is called ami-…")
	if s := svc.settings["allocation"]; s != nil {
		w.checkEC2(s, ec2Type, "an instance type of EC2 is called m7g.large and the like")
		fmt.Fprintf(&b, "instance_type = %s\n", w.ahead(svc, s))
	} else {
		b.WriteString("instance_type = \"m1.small\" # the default at that time\n")
	}
	if s := svc.settings["sshkeyname"]; s != nil {
		fmt.Fprintf(&b, "key_name = %s\n", w.ahead(svc, s))
	}
	if s := svc.settings["securitygroups"]; s != nil {
		fmt.Fprintf(&b, "security_groups = %s\n", w.groups(svc, s))
	}
	var login strings.Builder
	w.login(&login, svc)
	if login.Len() > 0 {
		fmt.Fprintf(&b, "ssh {\n%s}\n", login.String())
	}
	for _, key := range []string{"iaas_key", "iaas_secret"} {
		if svc.settings[key] != nil {
			w.cloudKeys = true
		}
	}
	return w.runner("ec2", svc, append([]string{"image", "allocation"}, cloudSettings...), b.String(), "")
}

// Names as EC2 has them. Other clouds had others.
var (
	ec2Image = regexp.MustCompile(`^[ae]mi-[0-9A-Za-z]+$`)
	ec2Type  = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`)
)

func (w *writer) checkEC2(s *setting, form *regexp.Regexp, what string) {
	if s.env == "" && !reference.MatchString(s.text) && !form.MatchString(s.text) {
		w.warnOnce(s.opt.rng, "Not a name of EC2", "%s is %q, and %s. It stands in the imported plan as it is: change it before you boot it.", s.opt.name, s.text, what)
	}
}

func (w *writer) groups(svc *oldService, s *setting) string {
	if s.env != "" || reference.MatchString(s.text) {
		return fmt.Sprintf("split(\",\", %s)", w.ahead(svc, s))
	}
	var groups []string
	for _, group := range strings.Split(s.text, ",") {
		if group = strings.TrimSpace(group); group != "" {
			groups = append(groups, quote(group))
		}
	}
	return "[" + strings.Join(groups, ", ") + "]"
}

// libcloudRegions are the EC2 regions among the drivers of libcloud.
var libcloudRegions = map[string]string{
	"ec2": "us-east-1", "ec2_us_east": "us-east-1", "ec2_us_west": "us-west-1",
	"ec2_eu": "eu-west-1", "ec2_eu_west": "eu-west-1", "ec2_ap_southeast": "ap-southeast-1",
}

// defaultRegion is where cloudinit.d starts VMs when nothing is said.
const defaultRegion = "us-east-1"

// region says where VMs are started, and under which address, as HCL.
func (w *writer) region(svc *oldService) (region, endpoint string) {
	if url := svc.settings["iaas_url"]; url != nil {
		endpoint = w.endpoint(svc, url)
	}
	s := svc.settings["iaas"]
	if s == nil {
		return quote(defaultRegion), endpoint
	}
	if s.env != "" || reference.MatchString(s.text) {
		return fmt.Sprintf("coalesce(%s, %s)", w.ahead(svc, s), quote(defaultRegion)), endpoint
	}
	name := strings.ToLower(strings.TrimSpace(s.text))
	if driver, ok := strings.CutPrefix(name, "libcloud-"); ok {
		if region, ok := libcloudRegions[driver]; ok {
			return quote(region), endpoint
		}
		w.unsupported(svc, s)
		return quote(defaultRegion), endpoint
	}
	switch name {
	case "ec2":
		return quote(defaultRegion), endpoint
	case "nimbus", "eucalyptus":
		w.unsupported(svc, s)
		return quote(defaultRegion), endpoint
	}
	if !strings.Contains(name, "-") { // a region is us-west-2 and the like
		w.unsupported(svc, s)
	}
	return quote(name), endpoint
}

func (w *writer) unsupported(svc *oldService, s *setting) {
	w.warnOnce(s.opt.rng, "Cloud that cannot be carried over", "launch starts VMs on EC2 and on what speaks its language; %q is not known to. The imported plan has an ec2 runner in its place: change its region, endpoint and image before you boot it.", s.text)
}

// endpoint is a URL: what has no scheme is https.
func (w *writer) endpoint(svc *oldService, s *setting) string {
	if s.env == "" && !strings.Contains(s.text, "://") && !reference.MatchString(s.text) {
		return quote("https://" + s.text)
	}
	return w.ahead(svc, s)
}

// ahead is a setting of a runner: what needs a service's value cannot be one.
func (w *writer) ahead(svc *oldService, s *setting) string {
	e := w.settingText(s, scope{self: target{svc, 0}, user: svc})
	if !e.ahead() {
		w.failOnce(s.opt.rng, "Value known too late", "%s refers to a service's value; the settings of VMs have to be known before anything is started.", s.opt.name)
		return quote("")
	}
	return e.hcl(nil)
}

// runner returns the block with this body, named after where its settings come from.
func (w *writer) runner(kind string, svc *oldService, keys []string, body, comment string) string {
	for _, r := range w.runners {
		if r.kind == kind && r.body == body {
			return "runner." + kind + "." + r.name
		}
	}
	wanted := "default"
	for _, key := range keys {
		if s := svc.settings[key]; s != nil && s.from == "the service" {
			wanted = svc.name
			break
		}
	}
	if wanted == "default" && svc.cloud != "" {
		wanted = strings.TrimPrefix(svc.cloud, "cloud-")
	}
	if w.runnerNames[kind] == nil {
		w.runnerNames[kind] = namer{}
	}
	r := &runnerBlock{kind: kind, name: w.runnerNames[kind].name(wanted), body: body, comment: comment}
	w.runners = append(w.runners, r)
	return "runner." + kind + "." + r.name
}

func sortRunners(runners []*runnerBlock) {
	slices.SortStableFunc(runners, func(a, b *runnerBlock) int { return strings.Compare(a.kind, b.kind) })
}
