//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/launchplan/launch/internal/sshtest"
)

// oldPlan is a plan of cloudinit.d for two hosts. Its programs say in $RECORD what they were given.
const oldPlan = `
-- main.conf --
[globals]
greeting: hello world
db_password: global-secret
[defaults]
localsshkeypath: ../keys/id
ssh_username: USER
pgm_timeout: 60
[runlevels]
level1: levels/one.conf
level2: levels/two.conf
-- levels/one.conf --
[svc-db]
hostname: 127.0.6.1
bootconf: conf/db.json
bootpgm: bin/db.sh
bootpgm_args: "two words" ${.hostname} ${.name} ${.run_name}
readypgm: bin/ready.sh
readypgm_args: ${.token} ${.port} '${.greeting}'
terminatepgm: bin/end.sh
terminatepgm_args: ${.token} ${.greeting}
deps: deps/db.conf
-- levels/deps/db.conf --
[deps]
greeting: ${global.greeting}
password: ${global.db_password}
admin_token: ${.name}-literal-secret
-- levels/conf/db.json --
{"greeting": "$greeting", "password": "$password", "token": "$admin_token", "factor": 1.0}
-- levels/bin/db.sh --
#!/bin/sh
. ./bootenv.sh
echo "db.sh $1|$2|$3|$4|$greeting|$password|$token|$factor" | tee -a RECORD
cat > bootout.json <<END
{"token": "generated-$(echo secret)", "port": 5432, "load": 1.0, "url": "db://$2:5432", "peers": ["a", 1.50]}
END
-- levels/bin/ready.sh --
#!/bin/sh
[ -f bootout.json ] || exit 1
echo "ready.sh $1|$2|$3" | tee -a RECORD
-- levels/bin/end.sh --
#!/bin/sh
echo "end.sh $1|$2" >> RECORD
-- levels/two.conf --
[svc-web]
hostname: env.WEB_HOST
bootconf: conf/web.txt
bootpgm: app.tar.gz
bootpgm_args: ${db.load} '${db.peers}'
readypgm: bin/ready.sh
readypgm_args: ${.name} ${.db_host} ${.db_url}
deps: deps/web.conf
deps2: deps/more.conf
[svc-beside]
hostname: ${db.hostname}
readypgm: bin/ready.sh
bootpgm: bin/touch.sh
readypgm_args: ${.name} ${db.hostname} ${.localkey}
-- levels/bin/touch.sh --
echo '{}' > bootout.json
-- levels/deps/web.conf --
[deps]
db_host: ${db.hostname}
db_url: ${db.url}
db_password: ${db.password}
-- levels/deps/more.conf --
[deps]
db_token: ${db.token}
-- levels/conf/web.txt --
$db_host $db_url $db_password $db_token
-- levels/app/run.sh --
#!/bin/sh
echo "app/run.sh $1|$2|$(cat bootconf.json)" | tee -a RECORD
echo '{}' > bootout.json
`

// TestImportedPlanOverSSH imports a plan, boots it over SSH with the command that the import says, and ends it again.
func TestImportedPlanOverSSH(t *testing.T) {
	server := sshtest.Start(t, sshtest.Options{Address: "0.0.0.0"})
	w := newWorld(t)
	w.must(os.Symlink(server.Home, w.path("home")))
	old := filepath.Join(w.dir, "old plan")
	text := strings.NewReplacer("USER", server.User, "RECORD", w.path("record")).Replace(oldPlan)
	for _, f := range txtar.Parse([]byte(text)).Files {
		name := filepath.Join(old, f.Name)
		w.must(os.MkdirAll(filepath.Dir(name), 0o700))
		w.must(os.WriteFile(name, f.Data, 0o600))
	}
	w.sh("cd 'old plan/levels' && tar -czf app.tar.gz app").want(0)
	key, err := os.ReadFile(server.Identity)
	w.must(err)
	w.must(os.MkdirAll(filepath.Join(old, "keys"), 0o700))
	w.must(os.WriteFile(filepath.Join(old, "keys", "id"), key, 0o600))
	w.must(os.MkdirAll(w.path(".ssh"), 0o700))
	w.must(os.WriteFile(w.path(".ssh/config"), []byte(fmt.Sprintf("Host 127.0.6.*\nPort %d\n", server.Port)), 0o600))

	t.Setenv("SSH_AUTH_SOCK", "")
	w.env = append(w.env, "WEB_HOST=127.0.6.2", "SSH_AUTH_SOCK=")
	said := w.sh("cd 'old plan' && launch import main.conf -o '../new plan'").want(0).not("Warning")
	_, command, found := strings.Cut(said.stdout, "boot it with: ")
	if !found {
		t.Fatalf("the import says %s", said.stdout)
	}
	w.launch("validate", "new plan").want(0, "valid").not("Warning")
	secrets := []string{"global-secret", "literal-secret", "generated-secret"}
	quiet := func(r result) {
		for _, secret := range secrets {
			r.not(secret)
		}
	}
	w.sh("cd 'old plan' && "+strings.TrimSpace(command)+" -n r").want(0, "run r is ready: 3 ready")

	givenSecrets := []string{"--var-file", filepath.Join("new plan", "secrets.vars")}
	quiet(w.launch("status", "r", "-o", "json").want(0)) // no check needs what is in the file
	quiet(w.launch("logs", "r", "level1.db").want(0, "two words|127.0.6.1|db|r|hello world|(sensitive)|(sensitive)|1.0"))
	quiet(w.launch("logs", "r", "level2.web").want(0, "1.0|['a', 1.5]|(sensitive)"))
	quiet(w.launch(append([]string{"reload", "r", "new plan", "--yes"}, givenSecrets...)...).want(0, "2 services unchanged"))
	boots := strings.Count(w.content("record"), "db.sh ")
	w.sh("rm home/.launch/*/level1.db/bootout.json").want(0)
	w.launch("repair", "r").want(2, "nothing was changed", "--var db_password=VALUE")
	quiet(w.launch(append([]string{"repair", "r"}, givenSecrets...)...).want(0))
	if again := strings.Count(w.content("record"), "db.sh "); again != boots+1 {
		t.Errorf("db was booted %d times by repair", again-boots)
	}
	quiet(w.launch("terminate", "r").want(0, "run r is terminated"))

	record := w.content("record")
	for _, line := range []string{
		"db.sh two words|127.0.6.1|db|r|hello world|global-secret|db-literal-secret|1.0\n",
		"ready.sh generated-secret|5432|hello world\n",
		"app/run.sh 1.0|['a', 1.5]|127.0.6.1 db://127.0.6.1:5432 global-secret generated-secret\n",
		"ready.sh web|127.0.6.1|db://127.0.6.1:5432\n",
		"ready.sh beside|127.0.6.1|" + filepath.Join(w.dir, "old plan/keys/id") + "\n",
		"end.sh generated-secret|hello world\n",
	} {
		if !strings.Contains(record, line) {
			t.Errorf("the programs wrote\n%swhich lacks %s", record, line)
		}
	}
	for _, secret := range secrets {
		if found := w.sh("grep -rl " + secret + " state"); found.status == 0 {
			t.Errorf("%s is kept in %s", secret, found.stdout)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(server.Home, ".launch", "*")); len(left) > 0 {
		t.Errorf("terminate left %v", left)
	}
}
