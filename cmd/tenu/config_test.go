package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenu/internal/purchase"
)

const exampleFile = "../../tenu.example.yaml"

// exampleEnv are the secrets that the example names.
func exampleEnv(name string) string {
	return map[string]string{"TENU_WALLET_API_KEY": "an API key", "TENU_WALLET_CALLBACK_KEY": strings.Repeat("k", 32)}[name]
}

func readExample(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The example must load, and what it calls defaults must be them.
func TestExample(t *testing.T) {
	cfg, err := parseConfig("tenu.example.yaml", []byte(readExample(t)))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := purchase.NewKeyring(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := cfg.parts(&app{env: exampleEnv, clock: newSteady()}, keys)
	if err != nil {
		t.Fatal(err)
	}
	if parts.rules != purchase.DefaultRules() {
		t.Errorf("the example's profile is %+v, tenu's defaults are %+v", parts.rules, purchase.DefaultRules())
	}
	client := parts.clients.Clients()[0]
	if client.Rate != defaultRate || client.Burst != defaultRate || client.InFlight != defaultInFlight || client.Streams != defaultStreams ||
		cfg.Listen.MaxConnections != maxConnections {
		t.Errorf("the example's limits are not the defaults: %+v", client)
	}
	if len(parts.members) != 2 || parts.callers["wallet"] == nil || parts.guards["ocs"] == nil {
		t.Errorf("the example's partners are %+v", parts.members)
	}
}

// Every key that the file may hold stands in the example.
func TestExampleIsWhole(t *testing.T) {
	text := readExample(t)
	for _, line := range strings.Split(sources(t), "\n") {
		_, tag, ok := strings.Cut(line, "`yaml:\"")
		if !ok {
			continue
		}
		if key, _, _ := strings.Cut(tag, "\""); !strings.Contains(text, key+":") {
			t.Errorf("the example lacks the key %s", key)
		}
	}
}

func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{"config.go", "partners.go"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

// An unreadable configuration names file, line and key.
func TestConfigErrors(t *testing.T) {
	t.Setenv("TZ", "UTC")
	example := readExample(t)
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":        {"  max_batch: 512", "  max_bath: 512", `tenu.yaml:20: store.max_bath: unknown field "max_bath"`},
		"key twice":          {"shard: 0", "shard: 0\nshard: 1", "tenu.yaml:10: "},
		"no node":            {"node: ouaga-1 ", "node: \"\" ", "tenu.yaml:8: node: a name"},
		"shard":              {"shard: 0 ", "shard: 32 ", "tenu.yaml:9: shard: must be between 0 and 31"},
		"word for a number":  {"shard: 0 ", "shard: many ", "tenu.yaml:9: shard: "},
		"address":            {"api: 127.0.0.1:8480", "api: 127.0.0.1", `listen.api: "127.0.0.1" is not host:port`},
		"half of TLS":        {"# tls: {certificate: api.crt, key: api.key}", "tls: {certificate: api.crt}", "listen.tls: certificate and key are needed together"},
		"no store":           {"dsn: sqlite:tenu.db", `dsn: ""`, "store.dsn: "},
		"bad rule":           {"refund_within: 30s", "refund_within: 0s", "profile: rules: refund_within must be positive"},
		"negative":           {"refund_within: 30s", "refund_within: -30s", "tenu.yaml:30: profile.refund_within: must not be negative"},
		"bad duration":       {"refund_within: 30s", "refund_within: soon", "profile.refund_within: "},
		"timezone":           {"timezone: Africa/Ouagadougou", "timezone: Africa/Atlantis", "profile.timezone: unknown time zone"},
		"no plan":            {`plan: "" `, "plan: absent.yaml ", "numbering.plan: open absent.yaml"},
		"no catalogue":       {`catalogue: "" `, "catalogue: absent.yaml ", "catalogue: open absent.yaml"},
		"two protocols":      {"    gsma:  ", "    cgrates: {}\n    gsma:  ", "partners[0]: exactly one of gsma, ucip and cgrates"},
		"partner twice":      {"- name: ocs\n", "- name: wallet\n", "partners[1].name: each partner needs a name of its own"},
		"bad partner":        {"profile: AIRT ", "profile: AIRTIME ", "partners[1].ucip: "},
		"secret in the file": {"${TENU_WALLET_API_KEY}", "hunter2", "partners[0].gsma.api_key: a secret does not stand here"},
		"secret not set":     {"${TENU_WALLET_API_KEY}", "${TENU_ABSENT}", "partners[0].gsma.api_key: TENU_ABSENT is not set in the environment"},
		"secret file":        {"${TENU_WALLET_API_KEY}", "file:absent", "partners[0].gsma.api_key: open absent"},
		"short callback key": {`"${TENU_WALLET_CALLBACK_KEY}"`, `"${TENU_WALLET_API_KEY}"`, "partners[0].gsma: "},
		"hash":               {"hash: sha256:00", "hash: sha1:00", "clients[0].keys[0]: key hash: want sha256:"},
		"expiry":             {"2027-12-31T23:59:59Z", "next year", "clients[0].keys[0]: expires: a time such as"},
		"scope":              {"balance:read]", "balance:write]", `clients[0]: client app: unknown scope "balance:write"`},
		"client's name":      {"- name: app\n", "- name: App_1\n", `clients[0]: client name "App_1"`},
		"syntax":             {"node: ouaga-1", "node: [ouaga-1", "tenu.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(example, c.old) {
				t.Fatalf("the example does not hold %q", c.old)
			}
			err := checkText(strings.Replace(example, c.old, c.new, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tenu.yaml:") {
				t.Errorf("got %v\nwant an error with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats the secret")
			}
		})
	}
}

// checkText does what `tenu config check` does.
func checkText(text string) error {
	cfg, err := parseConfig("tenu.yaml", []byte(text))
	if err != nil {
		return err
	}
	keys, err := purchase.NewKeyring(make([]byte, 16))
	if err != nil {
		return err
	}
	_, err = cfg.parts(&app{env: exampleEnv, clock: newSteady()}, keys)
	return err
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := &config{dir: dir}
	for text, want := range map[string]string{"": "", "${NAME}": "from the environment", "file:key": "from a file"} {
		got, err := cfg.secret(func(string) string { return "from the environment" }, "x", text)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for dsn, want := range map[string]string{"sqlite:a.db": "sqlite:" + filepath.Join(dir, "a.db"), "sqlite:/a.db": "sqlite:/a.db",
		"postgres://x": "postgres://x", "${DSN}": "from the environment"} {
		cfg.Store.DSN = dsn
		if got, err := cfg.dsn(func(string) string { return "from the environment" }); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", dsn, got, err, want)
		}
	}
}
