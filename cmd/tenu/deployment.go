package main

import (
	"net/url"

	"tenu/internal/api"
)

// deployment is what the API says of the installation. Where partners are is said of a
// declared test deployment alone: there they are sandboxes.
func (n *node) deployment() api.Deployment {
	d := api.Deployment{Test: n.cfg.Test, DeliverWithin: n.parts.rules.DeliverWithin.Milliseconds(),
		ResolveWithin: n.parts.rules.ResolveWithin.Milliseconds(), Expected: n.cfg.Incidents.expected().Milliseconds()}
	if listen := n.cfg.Listen.Status; listen != "" {
		d.Status = "http://" + listen + "/"
	}
	d.Status = orElse(orElse(n.cfg.Status.Public, n.cfg.Status.Platform), d.Status)
	if !d.Test {
		return d
	}
	for i := range n.cfg.Partners {
		p := &n.cfg.Partners[i]
		one := api.DeploymentPartner{Name: p.Name, Role: "provider", Control: rootOf(p.URL)}
		switch {
		case p.GSMA != nil:
			one.Role, one.Lateness = "payer", p.GSMA.Lateness.Milliseconds()
		case p.UCIP != nil:
			one.Lateness = p.UCIP.Lateness.Milliseconds()
		}
		d.Partners = append(d.Partners, one)
	}
	if n.cfg.SMS.URL != "" {
		d.Partners = append(d.Partners, api.DeploymentPartner{Name: "sms", Role: "centre", Control: rootOf(n.cfg.SMS.URL)})
	}
	return d
}

// rootOf is an address without its path and whatever else there is.
func rootOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}
