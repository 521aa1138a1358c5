package cloudinitd

import "testing"

func TestWhatIsASecret(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"password", "hunter2", true},
		{"db-passwd", "1234", true},
		{"token_prod", "abc", true},
		{"secret_account", "hunter2", true}, // no count
		{"password_support", "hunter2", true},
		{"apiKey", "k-1", true},
		{"key_type", "rsa", false},

		{"token_required", "true", false},
		{"tokenRequired", "for writes", false},
		{"password_encoding", "latin1", false},
		{"token_ttl", "86400", false},
		{"secret_name", "prod/db", false},
		{"tokenfile", "/etc/token", false},
		{"use_token", "for writes", false},
		{"requires-password", "sometimes", false},

		{"password_auth", "No", false},
		{"password_auth", "on", false},
		{"password_auth", "optional", false},
		{"password_rotation", "90", false},
		{"password", "none", false},
		{"password", "", false},
		{"password", "trueish", true},
	} {
		if got := holdsSecret(c.name, c.value); got != c.want {
			t.Errorf("holdsSecret(%q, %q) = %v", c.name, c.value, got)
		}
	}
}
