package line

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// errStranger ends a connection of somebody from whom nothing is taken.
var errStranger = errors.New("a stranger")

// gate lets in what comes from a trunk, or from whom we called. A stranger's packets are told so without
// anything being kept of them, for their addresses may be as many as there are.
func (l *Line) gate(from sip.TransportReadProps, data []byte) ([]byte, error) {
	source := addressOf(from.RemoteAddr)
	if _, known := l.known(source.Addr()); known {
		return data, nil
	}
	if from.Transport != "UDP" {
		return nil, errStranger
	}
	l.counts.forbidden.Add(1)
	msg, err := sip.ParseMessage(data)
	if req, is := msg.(*sip.Request); err == nil && is && !req.IsAck() && req.Via() != nil {
		if _, err := l.packets.WriteToUDPAddrPort([]byte(sip.NewResponseFromRequest(req, sip.StatusForbidden, "Forbidden", nil).String()), source); err != nil {
			l.cfg.Log.Debug("an answer did not leave", "error", err)
		}
	}
	return nil, nil
}

// ear is a socket that says when it is listened to.
type ear struct {
	*net.UDPConn
	once      sync.Once
	listening chan struct{} // closed then
}

// ReadFrom is net.PacketConn.
func (e *ear) ReadFrom(b []byte) (int, net.Addr, error) {
	e.once.Do(func() { close(e.listening) })
	return e.UDPConn.ReadFrom(b)
}

// door is a listener that lets in only whom is known.
type door struct {
	net.Listener
	line *Line
}

// Accept waits for the next connection of somebody who is known.
func (d door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if _, known := d.line.known(addressOf(conn.RemoteAddr()).Addr()); known {
			return conn, nil
		}
		d.line.counts.forbidden.Add(1)
		_ = conn.Close() // nothing was said
	}
}

// addressOf is an address as the system gives it.
func addressOf(a net.Addr) netip.AddrPort {
	var at netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		at = a.AddrPort()
	case *net.TCPAddr:
		at = a.AddrPort()
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
