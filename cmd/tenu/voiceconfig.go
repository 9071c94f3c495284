package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"time"

	"tenu/internal/voice/media"
)

// voiceConfig is of line 121. Without an address there is none.
type voiceConfig struct {
	Listen     string           `yaml:"listen"`
	Media      voiceMediaConfig `yaml:"media"`
	Identity   string           `yaml:"identity"`
	Language   string           `yaml:"language"`
	Recordings string           `yaml:"recordings"`
	Capacity   int              `yaml:"capacity"`
	Overflow   int              `yaml:"overflow"`
	RetryAfter span             `yaml:"retry_after"`
	Trunks     []trunkConfig    `yaml:"trunks"`
	Agents     agentsConfig     `yaml:"agents"`
	Dial       dialConfig       `yaml:"dial"`
	PBX        pbxConfig        `yaml:"pbx"`
}

// voiceMediaConfig is where sound comes in.
type voiceMediaConfig struct {
	Address string `yaml:"address"`
	From    uint16 `yaml:"from"`
	To      uint16 `yaml:"to"`
	Silence span   `yaml:"silence"`
}

// trunkConfig is where calls come from, and may go to.
type trunkConfig struct {
	Name     string   `yaml:"name"`
	Networks []string `yaml:"networks"`
	Asserts  bool     `yaml:"asserts_identity"`
	Address  string   `yaml:"address"`
	Protocol string   `yaml:"protocol"`
	User     string   `yaml:"user"`
	Password string   `yaml:"password"`
	Register bool     `yaml:"register"`
}

// agentsConfig is of agents' telephones and of those who wait for them.
type agentsConfig struct {
	Trunk   string `yaml:"trunk"`
	RingFor span   `yaml:"ring_for"`
	WrapFor span   `yaml:"wrap_for"`
	Waiting int    `yaml:"waiting"`
	Consent bool   `yaml:"consent"`
}

// dialConfig is of callbacks that are dialled.
type dialConfig struct {
	Trunk string `yaml:"trunk"`
	First string `yaml:"first"`
}

// pbxConfig is of a telephone system of the operator's that takes the place of the line, or of its dialler.
type pbxConfig struct {
	URL     string   `yaml:"url"`
	Secrets []string `yaml:"secrets"`
}

// The defaults.
const (
	voiceCapacity = 500
	voiceOverflow = 50
	mediaFrom     = 20_000
	mediaTo       = 29_999
)

// trunkName is what a trunk may be called.
var trunkName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// checkVoice checks what can be without opening anything.
func (c *config) checkVoice() error {
	v := &c.Voice
	names := map[string]bool{"": true} // no trunk: nobody is called over it
	for i := range v.Trunks {
		if err := v.Trunks[i].check(names); err != nil {
			return c.file.Errorf(fmt.Sprintf("voice.trunks[%d]", i), "%w", err)
		}
	}
	if v.Listen == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(v.Listen); err != nil {
		return c.file.Errorf("voice.listen", "%q is not an address and port, such as 10.0.0.5:5060", v.Listen)
	}
	if address, err := v.Media.address(v.Listen); err != nil || address.IsUnspecified() {
		return c.file.Errorf("voice.media.address", "the address is needed that callers' sound is to be sent to, not %q", v.Media.Address)
	}
	if v.Capacity < 0 || v.Overflow < 0 || v.Agents.Waiting < 0 {
		return c.file.Errorf("voice", "capacity, overflow and agents.waiting must not be negative")
	}
	// As many calls may be made as are served: to agents, and to customers.
	most := 2*orElse(v.Capacity, voiceCapacity) + orElse(v.Overflow, voiceOverflow)
	if from, to := v.Media.ports(); to < from || (int(to)-int(from)+1)/2 < most {
		return c.file.Errorf("voice.media", "two ports are needed for each of %d calls: %d to %d are too few", most, from, to)
	}
	if len(v.Trunks) == 0 {
		return c.file.Errorf("voice.trunks", "at least one is needed: calls are taken from nobody else")
	}
	return c.checkCalls(names)
}

// checkCalls checks how the line calls agents and customers.
func (c *config) checkCalls(names map[string]bool) error {
	v := &c.Voice
	for key, name := range map[string]string{"voice.agents.trunk": v.Agents.Trunk, "voice.dial.trunk": v.Dial.Trunk} {
		if !names[name] {
			return c.file.Errorf(key, "no trunk is called %q", name)
		}
	}
	for i := range v.Trunks {
		if t := &v.Trunks[i]; t.Address == "" && (t.Name == v.Agents.Trunk || t.Name == v.Dial.Trunk) {
			return c.file.Errorf(fmt.Sprintf("voice.trunks[%d].address", i), "calls go out over it: to where?")
		}
	}
	if v.Dial.Trunk != "" && v.Agents.Trunk == "" && v.PBX.URL == "" {
		return c.file.Errorf("voice.agents.trunk", "agents are called over it, before customers are called back")
	}
	switch v.Dial.First {
	case "", "agent", "customer":
	default:
		return c.file.Errorf("voice.dial.first", "agent or customer is called first, not %q", v.Dial.First)
	}
	if v.Recordings != "" {
		if _, err := os.Stat(c.path(v.Recordings)); err != nil {
			return c.file.Errorf("voice.recordings", "%w", err)
		}
	}
	return nil
}

// check checks a trunk, and notes its name.
func (t *trunkConfig) check(names map[string]bool) error {
	switch {
	case !trunkName.MatchString(t.Name):
		return fmt.Errorf("%q is not a name of a-z, 0-9 and hyphens", t.Name)
	case names[t.Name]:
		return fmt.Errorf("there are two of the name %q", t.Name)
	case len(t.Networks) == 0:
		return fmt.Errorf("the networks are needed that its calls come from")
	case t.Protocol != "" && t.Protocol != "udp" && t.Protocol != "tcp":
		return fmt.Errorf("protocol is udp or tcp, not %q", t.Protocol)
	case t.Register && (t.User == "" || t.Address == ""):
		return fmt.Errorf("to register, user and address are needed")
	}
	names[t.Name] = true
	if t.Address != "" {
		if _, _, err := net.SplitHostPort(t.Address); err != nil {
			return fmt.Errorf("%q is not host:port", t.Address)
		}
	}
	_, err := t.networks()
	return err
}

// networks are where its calls come from.
func (t *trunkConfig) networks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range t.Networks {
		prefix, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.1.0.0/24", text)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// address is where callers' sound is sent to: that of the line, unless another is given.
func (m *voiceMediaConfig) address(listen string) (netip.Addr, error) {
	if m.Address != "" {
		return netip.ParseAddr(m.Address)
	}
	at, err := netip.ParseAddrPort(listen)
	return at.Addr(), err
}

// ports are those that sound comes in at.
func (m *voiceMediaConfig) ports() (from, to uint16) {
	if m.From == 0 && m.To == 0 {
		return mediaFrom, mediaTo
	}
	return m.From, m.To
}

// media is what carries the sound.
func (c *config) media(a *app) (*media.Streams, error) {
	v := &c.Voice
	address, err := v.Media.address(v.Listen)
	if err != nil {
		return nil, err
	}
	from, to := v.Media.ports()
	return media.New(media.Config{Address: address, From: from, To: to, Patience: orElse(v.Media.Silence.Duration, 30*time.Second),
		Clock: a.clock, Random: a.uint64})
}
