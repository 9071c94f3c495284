package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/store"
)

// limits are how long sessions last.
func (c *consoleConfig) limits() auth.SessionLimits {
	d := auth.DefaultSessionLimits()
	return auth.SessionLimits{Life: orElse(c.Session.Life.Duration, d.Life), Idle: orElse(c.Session.Idle.Duration, d.Idle)}
}

// origin reads scheme, host and port: HTTPS, but on the machine itself.
func origin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.TrimSuffix(text, "/") != u.Scheme+"://"+u.Host {
		return nil, fmt.Errorf("an origin such as https://console.example is needed")
	}
	if !private(u) {
		return nil, fmt.Errorf("HTTPS is needed: whoever listens could sign in")
	}
	return u, nil
}

// private reports whether nobody on the way can listen.
func private(u *url.URL) bool {
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// checkConsole checks how staff sign in.
func (c *config) checkConsole() error {
	if l := c.Console.limits(); l.Idle > l.Life {
		return c.file.Errorf("console.session", "idle is longer than life: it would never count")
	}
	p := &c.Console.Passkeys
	if p.Party != "" && len(p.Origins) == 0 {
		return c.file.Errorf("console.passkeys.origins", "where the console is reached is needed, such as https://console.example")
	}
	for i, text := range p.Origins {
		u, err := origin(text)
		if err != nil {
			return c.file.Errorf(fmt.Sprintf("console.passkeys.origins[%d]", i), "%w", err)
		}
		if host := u.Hostname(); host != p.Party && !strings.HasSuffix(host, "."+p.Party) {
			return c.file.Errorf("console.passkeys.party", "browsers at %s refuse passkeys of %q", host, p.Party)
		}
	}
	return c.checkOIDC()
}

func (c *config) checkOIDC() error {
	o := &c.Console.OIDC
	if back := c.Regulator.OIDCRedirect; back != "" {
		if o.Issuer == "" {
			return c.file.Errorf("regulator.oidc_redirect", "console.oidc is needed: nobody would send browsers back")
		}
		if !comesBack(back) {
			return c.file.Errorf("regulator.oidc_redirect", "where the provider sends browsers back to is needed, such as https://regulator.example%s", oidcBack)
		}
	}
	if o.Issuer == "" {
		return nil
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || !private(u):
		return c.file.Errorf("console.oidc.issuer", "an HTTPS address without query is needed")
	case o.ClientID == "":
		return c.file.Errorf("console.oidc.client_id", "the name that the provider gave the console is needed")
	case o.Provision && o.RoleClaim == "":
		return c.file.Errorf("console.oidc.provision", "accounts can be made only where role_claim tells the role")
	case o.RoleClaim != "" && len(o.Roles) == 0:
		return c.file.Errorf("console.oidc.roles", "which values of %s are which role is needed: nobody could sign in", o.RoleClaim)
	case o.RoleClaim == "" && len(o.Roles) > 0:
		return c.file.Errorf("console.oidc.role_claim", "the claim whose values are roles is needed")
	}
	if !comesBack(o.Redirect) {
		return c.file.Errorf("console.oidc.redirect", "where the provider sends browsers back to is needed, such as https://console.example%s", oidcBack)
	}
	for value, role := range o.Roles {
		if !slices.Contains(auth.Roles, auth.Role(role)) {
			return c.file.Errorf("console.oidc.roles."+value, "%q is none of %v", role, auth.Roles)
		}
	}
	return nil
}

// comesBack reports whether an address is the page of a console or portal that the provider sends browsers back to.
func comesBack(text string) bool {
	back, err := url.Parse(text)
	return err == nil && back.Host != "" && back.Path == oidcBack && private(back)
}

// oidcBack is the page that the provider sends browsers back to.
const oidcBack = "/signin/oidc"

// waysIn are how staff sign in beside passwords; nil where they are not offered.
type waysIn struct {
	oidc     *auth.OIDC
	passkeys *auth.Passkeys
}

// waysIn builds them. It asks nobody yet.
func (c *config) waysIn(env func(string) string) (w waysIn, err error) {
	s := &c.Console
	if s.Passkeys.Party != "" {
		if w.passkeys, err = auth.NewPasskeys(c.brand(), s.Passkeys.Party, s.Passkeys.Origins); err != nil {
			return waysIn{}, c.file.Errorf("console.passkeys", "%w", err)
		}
	}
	if s.OIDC.Issuer == "" {
		return w, nil
	}
	secret, err := c.secret(env, "console.oidc.client_secret", s.OIDC.ClientSecret)
	if err != nil {
		return waysIn{}, err
	}
	roles := map[string]auth.Role{}
	for value, role := range s.OIDC.Roles {
		roles[value] = auth.Role(role)
	}
	w.oidc, err = auth.NewOIDC(auth.OIDCConfig{Issuer: s.OIDC.Issuer, ClientID: s.OIDC.ClientID, ClientSecret: secret,
		Redirect: s.OIDC.Redirect, RoleClaim: s.OIDC.RoleClaim, Roles: roles, Provision: s.OIDC.Provision})
	if err != nil {
		return waysIn{}, c.file.Errorf("console.oidc", "%w", err)
	}
	return w, nil
}

// staffDesk is where staff sign in, by password and in the ways that are given.
func (c *config) staffDesk(a *app, s *store.Store, secret []byte, w waysIn) (*auth.StaffDesk, error) {
	return auth.NewStaffDesk(auth.StaffConfig{Store: s, Clock: a.clock, Random: a.random, Secret: secret, Issuer: c.brand(),
		Limits: c.Console.limits(), PasswordAlone: c.Console.PasswordAlone, OIDC: w.oidc, Passkeys: w.passkeys})
}

// brand is what the service is called.
func (c *config) brand() string { return orElse(c.App.Brand, "tenu") }
