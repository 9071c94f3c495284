package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/api"
)

// Where the demonstration's line 121 listens: at a port of the scheme, or at any of these, which the
// system gives to nobody by itself.
const (
	linePort  = 7 // after that of the API
	linesFrom = 10_000
	linesMany = 10_000
	lineTries = 20
)

// findLine finds where line 121 is to listen, over UDP and TCP. The node opens both itself.
func (d *demo) findLine(ctx context.Context) (err error) {
	if d.Port != 0 {
		if d.line, err = free(ctx, d.Host, d.Port+linePort); err != nil {
			return fmt.Errorf("%w (choose other ports with --port)", err)
		}
		return nil
	}
	for range lineTries {
		if d.line, err = free(ctx, d.Host, linesFrom+int(d.app.uint64()%linesMany)); err == nil {
			return nil
		}
	}
	return err
}

// free is a port of a host at which nobody listens. Of a host that is all addresses it is the loopback's: a
// line tells its address to those who call.
func free(ctx context.Context, host string, port int) (netip.AddrPort, error) {
	if at, err := netip.ParseAddr(host); host == "" || err == nil && at.IsUnspecified() {
		host = "127.0.0.1"
	}
	var lc net.ListenConfig
	streams, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	at := streams.Addr().String()
	packets, err := lc.ListenPacket(ctx, "udp", at)
	if err == nil {
		err = packets.Close()
	}
	if err := errors.Join(err, streams.Close()); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.ParseAddrPort(at)
}

// voice is the line's part of the configuration. Softphones of this machine are believed what number they call from:
// they call from any of its addresses, whichever they call.
func (d *demo) voice(ctx context.Context) (string, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("this machine's addresses: %w", err)
	}
	networks := []netip.Addr{d.line.Addr()}
	for _, each := range own {
		if prefix, err := netip.ParsePrefix(each.String()); err == nil {
			networks = append(networks, prefix.Addr())
		}
	}
	if d.SIP == "" {
		return fmt.Sprintf(demoVoice, d.line, d.quoted(networks), "", ""), nil
	}
	host, _, err := net.SplitHostPort(d.SIP)
	if err != nil {
		return "", usage(fmt.Errorf("--sip: %w", err))
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", usage(fmt.Errorf("--sip: %w", err))
	}
	return fmt.Sprintf(demoVoice, d.line, d.quoted(append(networks, addresses...)), fmt.Sprintf(", address: %q", d.SIP), demoDial), nil
}

// quoted are those of some addresses that the line can be called from, for YAML.
func (d *demo) quoted(addresses []netip.Addr) string {
	var all []string
	for _, each := range addresses {
		text := strconv.Quote(each.Unmap().String())
		if each.Unmap().Is4() == d.line.Addr().Is4() && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// lineURI is what to call.
func (d *demo) lineURI() string { return "sip:121@" + d.line.String() }

// hintLine says how to call line 121.
func (d *demo) hintLine(p *api.Purchase) {
	a := d.app
	a.printf("  call line 121       %s with any softphone on this machine (G.711, no registration): it asks for the number\n", d.lineURI())
	a.printf("                        and for the code that comes to the phone below, and says where the purchase stands.\n")
	a.printf("                        A call with the header  P-Asserted-Identity: <sip:%s@%s>  hears it at once\n", p.Recipient.Number, d.line)
	if d.SIP != "" {
		a.printf("                        Agents' extensions and customers are called at %s\n", d.SIP)
	}
}

// demoVoice is of the line: where it listens, the networks and the address of its trunk, and how it calls.
const demoVoice = `voice:
  listen: %q
  trunks: [{name: softphone, networks: [%s], asserts_identity: true%s}]
%s`

// demoDial is of a line that calls.
const demoDial = `  agents: {trunk: softphone}
  dial: {trunk: softphone, first: agent}
`
