package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	if len(parts.guards) != 2 || parts.callers["wallet"] == nil || parts.guards["ocs"] == nil {
		t.Errorf("the example's partners are %+v", parts.guards)
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
	for _, name := range []string{"config.go", "partners.go", "care.go", "customers.go", "incidents.go", "telling.go", "reconcile.go", "voiceconfig.go", "traces.go"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

// someRecipient is a recipient of age whose identity nobody has.
const someRecipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// An unreadable configuration names file, line and key.
func TestConfigErrors(t *testing.T) {
	t.Setenv("TZ", "UTC")
	example := readExample(t)
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown key":       {"  max_batch: 512", "  max_bath: 512", `tenu.yaml:26: store.max_bath: unknown field "max_bath"`},
		"key twice":         {"shard: 0", "shard: 0\nshard: 1", "tenu.yaml:11: "},
		"no node":           {"node: ouaga-1 ", "node: \"\" ", "tenu.yaml:8: node: a name"},
		"shard":             {"shard: 0 ", "shard: 32 ", "tenu.yaml:10: shard: must be between 0 and 31"},
		"word for a number": {"shard: 0 ", "shard: many ", "tenu.yaml:10: shard: "},
		"address":           {"api: 127.0.0.1:8480", "api: 127.0.0.1", `listen.api: "127.0.0.1" is not host:port`},
		"half of TLS":       {"# tls: {certificate: api.crt, key: api.key}", "tls: {certificate: api.crt}", "listen.tls: certificate and key are needed together"},
		"no store":          {"dsn: sqlite:tenu.db", `dsn: ""`, "store.dsn: "},
		"sealed unread":     {"  lease: 10s", "  sealing: {recipients: [" + someRecipient + "]}\n  lease: 10s", "tenu.yaml:30: store.sealing: identity_file is needed"},
		"sealed for nobody": {"  lease: 10s", "  sealing: {identity_file: tenu.age}\n  lease: 10s", "tenu.yaml:30: store.sealing: recipients are needed"},
		"no such recipient": {"  lease: 10s", "  sealing:\n    recipients:\n      - " + someRecipient + "\n      - AGE-SECRET-KEY-1\n  lease: 10s",
			"tenu.yaml:33: store.sealing.recipients[1]: a recipient of age is needed (age1...)"},
		"sealing's key":      {"  lease: 10s", "  sealing: {identity: tenu.age}\n  lease: 10s", "tenu.yaml:30: store.sealing.identity: unknown field"},
		"bad rule":           {"refund_within: 30s", "refund_within: 0s", "profile: rules: refund_within must be positive"},
		"negative":           {"refund_within: 30s", "refund_within: -30s", "tenu.yaml:42: profile.refund_within: must not be negative"},
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
		"target's host":      {"targets: []", "targets: [{host: CRM.example}]", "webhooks.targets[0]: target \"CRM.example\": a host"},
		"target's secret":    {"targets: []", "targets: [{host: crm.example, secrets: [hunter2]}]", "webhooks.targets[0].secrets[0]: a secret does not stand here"},
		"target's client":    {"targets: []", "targets: [{host: crm.example, client: app}]", "webhooks.targets[0].client: client app may read no cases"},
		"listener's client":  {"listeners: []", "listeners: [{name: crm, client: crm}]", "webhooks.listeners[0].client: there is no client \"crm\""},
		"country":            {"country: BF", "country: XX", "profile.country: there is no profile of \"XX\"; there are BF, NG, TG, TZ, UMOA"},
		"mailbox":            {"  mail: []                # mailboxes", "  mail: [noc]   # mailboxes", "incidents.mail[0]: \"noc\" is no mail address"},
		"no mail server":     {"  mail: []                # mailboxes", "  mail: [noc@operator.example]   # mailboxes", "incidents.mail[0]: mail.server is needed"},
		"severity":           {"severity: major", "severity: worst", "incidents.regulator: severity: \"worst\" is none of minor"},
		"users' mail":        {"users: {severity: \"\"", "users: {mail: [a@b.example], severity: \"\"", "incidents.users.mail[0]: customers are told by SMS"},
		"listener's target":  {"listeners: []", "listeners: [{name: crm, client: app, url: 'https://evil.example/'}]", "webhooks.listeners[0]"},
		"client's name":      {"- name: app\n", "- name: App_1\n", `clients[0]: client name "App_1"`},
		"house":              {"- name: ocs\n", "- name: house\n", `partners[1].name: "house" pays for what is given away`},
		"bounds":             {"unchecked: 5000 ", "unchecked: 50000 ", "care.bounds.agent: unchecked is above single"},
		"impossible bounds":  {"number_day: 50000 ", "number_day: 5000 ", "care.bounds.agent: single is above day or number_day"},
		"negative goodwill":  {"goodwill: 500000", "goodwill: -1", "care.goodwill: must not be negative"},
		"agents":             {"agents: 0 ", "agents: -1 ", "callbacks: per_window and agents must not be negative"},
		"objective":          {"objective: 990 ", "objective: 1000 ", "incidents.objective: must be between 1 and 999"},
		"canary":             {"canaries: []", `canaries: [{number: "70 00 00 01", operator: moov}, {number: "121"}]`, "incidents.canaries[1].number: "},
		"canary's operator":  {"canaries: []", `canaries: [{number: "70 00 00 01", operator: orange}]`, `incidents.canaries[0].operator: 70 00 00 01 is a line of "moov"`},
		"statements of whom": {"    - partner: wallet     #", "    - partner: nobody     #", "reconcile.statements[0].partner: no partner is called \"nobody\""},
		"how they are read":  {"mapping: sandbox ", "mapping: absent.yaml ", "reconcile.statements[0].mapping: read mapping: open absent.yaml"},
		"a source of both":   {"sources: []", "sources: [{dir: x, url: y}]", "reconcile.statements[0].sources[0]: exactly one of dir, url, sftp and api"},
		"no host key":        {"sources: []", "sources: [{sftp: {address: x, user: y}}]", "reconcile.statements[0].sources[0].sftp.host_key: the server's host key is needed"},
		"no such interface":  {"sources: []", "sources: [{dir: x, url: \"\"}, {api: false}]", "reconcile.statements[0].sources[1]: exactly one of dir, url, sftp and api"},
		"line's address":     {`listen: ""              # 10.0.0.5`, "listen: 10.0.0.5 # ", "voice.listen: \"10.0.0.5\" is not an address and port"},
		"sound to nowhere":   {`listen: ""              # 10.0.0.5`, "listen: 0.0.0.0:5060 # ", "voice.media.address: the address is needed"},
		"few ports": {`listen: ""              # 10.0.0.5:5060, over UDP and TCP; "": there is no line
  media:
    address: ""           # that callers' sound is sent to; "": that of listen
    from: 20000 `, "listen: 10.0.0.5:5060\n  media:\n    from: 28000 ", "voice.media: two ports are needed for each of 1050 calls: 28000 to 29999 are too few"},
		"no trunk":         {`listen: ""              # 10.0.0.5`, "listen: 10.0.0.5:5060 # ", "voice.trunks: at least one is needed"},
		"trunk's network":  {"trunks: []", "trunks: [{name: core, networks: [all]}]", "voice.trunks[0]: \"all\" is not a network"},
		"receipts' key":    {`  key: ""                 # ${TENU_RECEIPT`, `  key: hunter2 # ${TENU_RECEIPT`, "receipts.key: a secret does not stand here"},
		"receipts' secret": {`  key: ""                 # ${TENU_RECEIPT`, `  key: ${TENU_WALLET_API_KEY} # `, "receipts: not a secret key"},
		"receipts' page":   {`  page: ""`, `  page: https://tenu.example/receipts`, "receipts.key: a key is needed to sign with"},
		"receipts' known": {`  key: ""                 # ${TENU_RECEIPT_KEY} or file:receipt-key; "": there are no receipts
  page: ""                # where everybody reaches the app's page that checks them: https://app.tenu.example/receipts
  known: []`, "  key: ${TENU_WALLET_API_KEY}\n  known: [hunter]", "receipts.known[0]: not a public key"},
		"syntax": {"node: ouaga-1", "node: [ouaga-1", "tenu.yaml:"},
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
	if _, err := cfg.post(exampleEnv); err != nil {
		return err
	}
	if _, err := cfg.webhooks(exampleEnv); err != nil {
		return err
	}
	if _, err := cfg.parts(&app{env: exampleEnv, clock: newSteady()}, keys); err != nil {
		return err
	}
	_, err = cfg.waysIn(exampleEnv)
	return err
}

// Listeners of the configuration are told of what they are about.
func TestListenersAbout(t *testing.T) {
	for listener, want := range map[string]string{
		"{name: noc, about: incidents, url: 'https://noc.example/', events: [IncidentOpenedEvent]}": "config-noc eventType=IncidentOpenedEvent",
		"{name: arcep, about: notices, url: 'https://noc.example/'}":                                "config-arcep notices",
		"{name: noc, about: money, url: 'https://noc.example/'}":                                    "webhooks.listeners[0].about: \"money\" is none of cases, incidents and notices",
		"{name: noc, about: incidents, url: 'https://noc.example/', events: [TroubleTicket]}":       "webhooks.listeners[0].events: known events are IncidentOpenedEvent",
		"{name: noc, about: notices, url: 'https://noc.example/', events: [IncidentOpenedEvent]}":   "a regulator hears of every notice",
		"{name: noc, url: 'https://noc.example/'}":                                                  "webhooks.listeners[0].client: there is no client",
		"{name: noc, about: incidents, url: 'https://other.example/'}":                              "webhooks.listeners[0].url",
		"{name: noc, about: incidents, client: nobody, url: 'https://noc.example/'}":                "webhooks.listeners[0].client: there is no client \"nobody\"",
	} {
		text := strings.Replace(readExample(t), "targets: []", "targets: [{host: noc.example, secrets: ['${TENU_WALLET_CALLBACK_KEY}']}]", 1)
		cfg, err := parseConfig("tenu.yaml", []byte(strings.Replace(text, "listeners: []", "listeners: ["+listener+"]", 1)))
		if err != nil {
			t.Fatal(err)
		}
		heard, err := cfg.webhooks(exampleEnv)
		got := fmt.Sprint(err)
		if err == nil {
			got = heard.incidents[0].ID + " " + heard.incidents[0].Query
		}
		if !strings.Contains(got, want) || len(heard.cases) != 0 {
			t.Errorf("%s: %s, want %s", listener, got, want)
		}
	}
}

// A country's limits shorten what is not given, and refuse what is longer.
func TestCountry(t *testing.T) {
	read := func(changes ...string) (*config, error) {
		text := readExample(t)
		for i := 0; i < len(changes); i += 2 {
			if !strings.Contains(text, changes[i]) {
				t.Fatalf("the example does not hold %q", changes[i])
			}
			text = strings.Replace(text, changes[i], changes[i+1], 1)
		}
		return parseConfig("tenu.yaml", []byte(text))
	}
	for name, c := range map[string]struct {
		changes []string
		want    string // "" for none
	}{
		"Burkina Faso":         {nil, ""},
		"Nigeria":              {[]string{"country: BF", "country: NG"}, ""},
		"a refund too late":    {[]string{"country: BF", "country: NG", "refund_within: 30s", "refund_within: 40s"}, "refund_within: 40s is more than the 30s of NG: joint framework"},
		"pending for too long": {[]string{"country: BF", "country: NG", "  resolve_within: 24h ", "  resolve_within: 25h "}, "resolve_within: 25h0m0s is more than the 24h0m0s of NG"},
		"complaints":           {[]string{"country: BF", "country: NG", "    resolve_within: 24h", "    resolve_within: 25h"}, "care.clocks: resolve_within: 25h0m0s is more than"},
		"no limit here":        {[]string{"refund_within: 30s", "refund_within: 40s"}, ""},
	} {
		if _, err := read(c.changes...); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		changes []string
		want    string
	}{
		"Burkina Faso": {nil, ""},
		"Togo":         {[]string{"country: BF", "country: TG"}, "tg-users users 2h0m0s TG, decision 068/ARCEP/DG/21"},
		"Nigeria":      {[]string{"country: BF", "country: NG"}, ""},
		"drafts":       {[]string{"country: BF", "country: NG", "drafts: false", "drafts: true"}, "ng-suspend suspend 10m0s NG, NCC, as read in the press (a draft)"},
		"own":          {[]string{"lasts: 0s             #", "lasts: 1h #"}, "own-regulator regulator 1h0m0s the operator's own target"},
	} {
		cfg, err := read(c.changes...)
		if err != nil {
			t.Fatal(err)
		}
		all, err := cfg.duties()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range all {
			got += fmt.Sprintf("%s %s %s %s", d.Name, d.Kind, d.Lasts, d.Source)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	clocks, err := (&config{Profile: profileConfig{Country: "NG"}}).clocks()
	if err != nil || clocks.ResolveWithin != 24*time.Hour {
		t.Errorf("%+v, %v", clocks, err)
	}
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
