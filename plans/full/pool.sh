#!/bin/sh
# What a node of the pool does at its first boot: it joins. The plan fills in what it needs to know.
set -eu
umask 077
export HOME=$(printenv HOME || echo /root) # which cloud-init does not set everywhere
mkdir -p "$HOME/epuharness-pool"
cd "$HOME/epuharness-pool"

cat >credentials.json <<'END-OF-CREDENTIALS'
${credentials}
END-OF-CREDENTIALS
cat >ca.pem <<'END-OF-CA'
${tls_ca}
END-OF-CA

epuharness='${epuharness}'
case $epuharness in
https://*)
	curl -fsS --retry 5 -o epuharness "$epuharness"
	echo '${sha256}  epuharness' | sha256sum -c -
	chmod 700 epuharness
	epuharness=$PWD/epuharness
	;;
esac

# The instance's own id and address; elsewhere than on EC2, the host's.
metadata=$(printenv AWS_EC2_METADATA_SERVICE_ENDPOINT || echo http://169.254.169.254)
token=$(curl -fsS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/latest/api/token" || true)
ask() { curl -fsS -m 5 -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/$1"; }
node=pool-$(ask instance-id || hostname)
EPU_HOST=$(ask local-ipv4 || hostname -i)

EPUHARNESS_URL='${urls}'
EPUHARNESS_CREDENTIALS=$PWD/credentials.json
EPUHARNESS_TLS_CA=$PWD/ca.pem
export EPU_HOST EPUHARNESS_URL EPUHARNESS_CREDENTIALS EPUHARNESS_TLS_CA
"$epuharness" node announce "$node" --timeout 2m
# In a session of its own, so that the end of cloud-init is not its end.
setsid nohup "$epuharness" agent --name "$node" --slots '${slots}' --dir agent </dev/null >agent.log 2>&1 &
