package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tenu/internal/auth"
)

// consoleSection is the example with another section on the console.
func consoleSection(t *testing.T, section string) string {
	t.Helper()
	text := readExample(t)
	from := indexOf(t, text, "\nconsole:\n")
	return text[:from] + "\nconsole:\n" + section + text[from+indexOf(t, text[from:], "\n# Who may call the API"):]
}

const wholeConsole = `  session: {life: 8h}
  passkeys: {party: tenu.example, origins: ["https://console.tenu.example/", "https://other.tenu.example:8443"]}
  oidc:
    issuer: https://id.example/realms/staff
    client_id: tenu
    client_secret: ${TENU_WALLET_API_KEY}
    redirect: https://console.tenu.example/signin/oidc
    role_claim: groups
    roles: {leads: supervisor, "agents of the evening": agent}
    provision: true
`

func TestStaffConfig(t *testing.T) {
	cfg, err := parseConfig("tenu.yaml", []byte(consoleSection(t, wholeConsole)))
	if err != nil {
		t.Fatal(err)
	}
	w, err := cfg.waysIn(exampleEnv)
	if err != nil || w.oidc == nil || w.passkeys == nil {
		t.Fatalf("%+v, %v", w, err)
	}
	if l := cfg.Console.limits(); l.Life.Hours() != 8 || l.Idle != auth.DefaultSessionLimits().Idle {
		t.Errorf("limits %+v", l)
	}
	cfg, err = parseConfig("tenu.yaml", []byte(readExample(t)))
	if err != nil {
		t.Fatal(err)
	}
	if w, err := cfg.waysIn(noEnv); err != nil || w != (waysIn{}) || cfg.Console.limits() != auth.DefaultSessionLimits() || cfg.Console.PasswordAlone {
		t.Errorf("the example's are not the defaults: %+v, %+v, %v", w, cfg.Console, err)
	}
}

func TestStaffConfigErrors(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"nowhere":              {`origins: ["https://console.tenu.example/", "https://other.tenu.example:8443"]`, "origins: []", "console.passkeys.origins: where the console"},
		"in clear":             {`["https`, `["http`, "console.passkeys.origins[0]: HTTPS is needed"},
		"other origin":         {"https://other.tenu.example:8443", "other.tenu.example", "console.passkeys.origins[1]: an origin such as"},
		"origin with a path":   {"console.tenu.example/\"", "console.tenu.example/a\"", "console.passkeys.origins[0]: an origin such as"},
		"another's passkeys":   {"party: tenu.example", "party: enu.example", `console.passkeys.party: browsers at console.tenu.example refuse passkeys of "enu.example"`},
		"no domain":            {"party: tenu.example", "party: example", "console.passkeys: "},
		"issuer with a query":  {"realms/staff", "?realm=staff", "console.oidc.issuer: an HTTPS address without query"},
		"issuer in clear":      {"issuer: https", "issuer: http", "console.oidc.issuer: an HTTPS address"},
		"no client":            {"client_id: tenu", `client_id: ""`, "console.oidc.client_id: "},
		"a secret in the file": {"${TENU_WALLET_API_KEY}", "hunter2", "console.oidc.client_secret: a secret does not stand here"},
		"a secret not set":     {"${TENU_WALLET_API_KEY}", "${TENU_ABSENT}", "console.oidc.client_secret: TENU_ABSENT is not set"},
		"back to elsewhere":    {"/signin/oidc", "/", "console.oidc.redirect: where the provider sends browsers"},
		"back in clear":        {"redirect: https", "redirect: http", "console.oidc.redirect: "},
		"role":                 {"leads: supervisor", "leads: root", `console.oidc.roles.leads: "root" is none of`},
		"roles without claim":  {"role_claim: groups\n    roles: {leads: supervisor, \"agents of the evening\": agent}\n    provision: true", "roles: {leads: supervisor}", "console.oidc.role_claim: "},
		"claim without roles":  {"{leads: supervisor, \"agents of the evening\": agent}", "{}", "console.oidc.roles: which values of groups"},
		"accounts of no role":  {"role_claim: groups", "role_claim: \"\"", "console.oidc.provision: accounts can be made only"},
		"negative":             {"life: 8h", "life: -8h", "console.session.life: must not be negative"},
		"idle":                 {"life: 8h", "life: 8m", "console.session: idle is longer than life"},
	} {
		if !strings.Contains(wholeConsole, c.old) {
			t.Fatalf("%s: the section does not hold %q", name, c.old)
		}
		err := checkText(consoleSection(t, strings.Replace(wholeConsole, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tenu.yaml:") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v\nwant an error with %q", name, err, c.want)
		}
	}
}

// The portal's way back is checked as the console's is.
func TestPortalOIDCConfig(t *testing.T) {
	portal := func(section, back string) error {
		return checkText(strings.Replace(consoleSection(t, section), `oidc_redirect: ""`, `oidc_redirect: "`+back+`"`, 1))
	}
	if err := portal(wholeConsole, "https://regulator.example/signin/oidc"); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ section, back, want string }{
		"elsewhere":   {wholeConsole, "https://regulator.example/", "regulator.oidc_redirect: where the provider"},
		"in clear":    {wholeConsole, "http://regulator.example/signin/oidc", "regulator.oidc_redirect: where the provider"},
		"no provider": {"  https: false\n", "https://regulator.example/signin/oidc", "regulator.oidc_redirect: console.oidc is needed"},
	} {
		if err := portal(c.section, c.back); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant an error with %q", name, err, c.want)
		}
	}
}

// Accounts from the first to the last command, on a database of their own.
func TestStaffCommands(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tenu.yaml")
	if err := os.WriteFile(file, []byte(readExample(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(arguments ...string) string {
		t.Helper()
		status, out, errs := tenu(t, exampleEnv, append(arguments, "--config", file)...)
		if status != 0 {
			t.Fatalf("%v: status %d: %s%s", arguments, status, out, errs)
		}
		return out
	}
	fails := func(want string, arguments ...string) {
		t.Helper()
		status, out, errs := tenu(t, exampleEnv, append(arguments, "--config", file)...)
		if status == 0 || !strings.Contains(errs, want) {
			t.Errorf("%v: status %d: %s%s\nwant %q", arguments, status, out, errs, want)
		}
	}
	run("migrate")
	out := run("staff", "add", "Awa.T", "--name", "Awa Traoré", "--role", "supervisor")
	if !regexp.MustCompile(`(?m)^  [a-z2-7]{4}(-[a-z2-7]{4}){3}$`).MatchString(out) || !strings.Contains(out, "awa.t") {
		t.Errorf("no password is shown: %s", out)
	}
	fails("taken", "staff", "add", "awa.t", "--name", "Other")
	fails("a-z", "staff", "add", "a b", "--name", "Other")
	fails("command", "staff", "add", "command", "--name", "Other")
	fails("nobody has the login", "staff", "show", "moussa")
	fails("70", "staff", "numbers", "awa.t", "70", "--yes")

	for _, c := range [][]string{{"role", "awa.t", "agent"}, {"disable", "awa.t"}, {"reset", "awa.t"}, {"revoke", "awa.t"}, {"numbers", "awa.t", "70 11 22 33"},
		{"subject", "awa.t", "https://id.example|1"}} {
		if said := run(append([]string{"staff"}, c...)...); !strings.Contains(said, "Would ") || !strings.Contains(said, "--yes") {
			t.Errorf("%v without --yes: %s", c, said)
		}
	}
	if said := run("staff", "show", "awa.t"); strings.Count(said, "command: ") != 1 {
		t.Errorf("something was done without --yes: %s", said)
	}
	for _, c := range [][]string{{"role", "AWA.T", "agent"}, {"numbers", "awa.t", "70 11 22 33", "+226 71-00-00-00"}, {"subject", "awa.t", "https://id.example|1"},
		{"reset", "awa.t"}, {"revoke", "awa.t"}, {"disable", "awa.t"}} {
		if said := run(append(append([]string{"staff"}, c...), "--yes")...); !strings.Contains(said, "Done: ") {
			t.Errorf("%v: %s", c, said)
		}
	}
	said := run("staff", "show", "awa.t")
	for _, want := range []string{"Awa Traoré, agent", "disabled true", "2 numbers", "https://id.example|1", "role agent, was supervisor", "password reset", "sessions revoked",
		"added as supervisor"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing: %s", want, said)
		}
	}
	if said := run("staff", "list", "--json"); !strings.Contains(said, `"22670112233"`) && !strings.Contains(said, "+22670112233") {
		t.Errorf("list: %s", said)
	}
	if said := run("staff", "list"); !strings.Contains(said, "disabled") {
		t.Errorf("list: %s", said)
	}
	run("staff", "enable", "awa.t", "--yes")
	run("staff", "sessions", "awa.t")
}
