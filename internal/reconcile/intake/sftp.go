package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// SFTP is a folder of a server that speaks SFTP. Its host key must be known.
type SFTP struct {
	Address string // host:port
	User    string
	// Password or Key is needed; Key is a private key in PEM.
	Password string
	Key      []byte
	// Host is the server's public key as known_hosts has it: "ssh-ed25519 AAAA...".
	Host    string
	Folder  string
	Pattern string
	Timeout time.Duration
}

// ErrHostKey says that the server is not the one that is known.
var ErrHostKey = errors.New("the server's host key is not the one that is configured")

// Name is Source.
func (s *SFTP) Name() string { return "sftp://" + s.Address + "/" + strings.TrimPrefix(s.Folder, "/") }

// config is how the server is spoken to.
func (s *SFTP) config() (*ssh.ClientConfig, error) {
	known, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.Host))
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	c := &ssh.ClientConfig{User: s.User, Timeout: s.Timeout, HostKeyAlgorithms: []string{known.Type()},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !bytes.Equal(key.Marshal(), known.Marshal()) {
				return ErrHostKey
			}
			return nil
		}}
	if known.Type() == ssh.KeyAlgoRSA {
		c.HostKeyAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	switch {
	case len(s.Key) > 0:
		signer, err := ssh.ParsePrivateKey(s.Key)
		if err != nil {
			return nil, fmt.Errorf("private key: %w", err)
		}
		c.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)}
	case s.Password != "":
		c.Auth = []ssh.AuthMethod{ssh.Password(s.Password)}
	default:
		return nil, errors.New("a password or a private key is needed")
	}
	return c, nil
}

// Check finds what is wrong with the configuration.
func (s *SFTP) Check() error {
	_, err := s.config()
	return err
}

// session is a connection that closes with its last use.
type session struct {
	*sftp.Client
	ssh  *ssh.Client
	stop func() bool
}

func (s *session) close() {
	s.stop()
	_ = s.Client.Close() // it was only read from
	_ = s.ssh.Close()
}

// dial opens a connection that ends when ctx does.
func (s *SFTP) dial(ctx context.Context) (*session, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: s.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	fail := func(err error) (*session, error) {
		stop()
		return nil, errors.Join(err, ctx.Err(), ignoreClosed(conn.Close()))
	}
	link, channels, requests, err := ssh.NewClientConn(conn, s.Address, config)
	if err != nil {
		return fail(err)
	}
	client := ssh.NewClient(link, channels, requests)
	files, err := sftp.NewClient(client)
	if err != nil {
		return fail(err)
	}
	return &session{files, client, stop}, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Files is Source.
func (s *SFTP) Files(ctx context.Context, _ Period) (files []File, err error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("list statements at %s: %w", s.Name(), err)
	}
	defer c.close()
	entries, err := c.ReadDirContext(ctx, s.Folder)
	if err != nil {
		return nil, fmt.Errorf("list statements at %s: %w", s.Name(), err)
	}
	for _, e := range entries {
		name := e.Name()
		if match, err := path.Match(s.Pattern, name); err != nil || !match || strings.HasPrefix(name, ".") || !e.Mode().IsRegular() {
			continue
		}
		if len(files) == maxFiles {
			return nil, fmt.Errorf("list statements at %s: more than %d files", s.Name(), maxFiles)
		}
		full := path.Join(s.Folder, name)
		files = append(files, File{Name: name, Mark: e.ModTime().UTC().String() + "/" + strconv.FormatInt(e.Size(), 10),
			Open: func(ctx context.Context) (io.ReadCloser, error) { return s.open(ctx, full) }})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func (s *SFTP) open(ctx context.Context, name string) (io.ReadCloser, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("read a statement at %s: %w", s.Name(), err)
	}
	file, err := c.Open(name)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("read a statement at %s: %w", s.Name(), err)
	}
	return &remote{file, c}, nil
}

// remote is a file with the connection that it is read over.
type remote struct {
	*sftp.File
	c *session
}

// Close is io.Closer.
func (r *remote) Close() error {
	err := r.File.Close()
	r.c.close()
	return err
}
