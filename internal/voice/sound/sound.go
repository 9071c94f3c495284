// Package sound holds the recordings that line 121 plays: G.711 at 8 000 samples a
// second, one byte each (ITU-T G.711), a file for each clip of each language. What is
// shipped was spoken by a machine; an operator's own voices take its place clip by clip.
package sound

import (
	"archive/zip"
	"bytes"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/zaf/g711"

	"tenu/internal/voice/speech"
)

// Rate is how many samples, and bytes, a second has.
const Rate = 8000

// maxClip bounds a recording: a minute.
const maxClip = 60 * Rate

// Law is how a sample is written: the payload types of RFC 3551, table 4.
type Law uint8

// The laws.
const (
	MuLaw Law = 0 // PCMU
	ALaw  Law = 8 // PCMA
)

// Silence is the byte of a sample of nothing.
func (l Law) Silence() byte {
	if l == MuLaw {
		return 0xff
	}
	return 0xd5
}

// Library is all recordings. It is safe for concurrent use, and nothing of it may be changed.
type Library struct {
	clips map[Law]map[string]map[speech.Clip][]byte // by language
	own   map[string]int                            // recordings that are not a machine's, by language
}

//go:embed prompts/*.zip
var shipped embed.FS

// Load reads the recordings that tenu ships with, and in their place those of a folder: dir
// has a folder for each language, and in it a WAV file for each clip, as fr/paid/1.wav: one
// channel of 8 000 samples a second, as 16-bit PCM, A-law or mu-law. dir may be nil. An error names
// the file that cannot be used.
func Load(dir fs.FS) (*Library, error) {
	l := &Library{map[Law]map[string]map[speech.Clip][]byte{MuLaw: {}, ALaw: {}}, map[string]int{}}
	names, err := fs.Glob(shipped, "prompts/*.zip")
	if err != nil {
		return nil, fmt.Errorf("sound: %w", err)
	}
	for _, name := range names {
		if err := l.unpack(name); err != nil {
			return nil, fmt.Errorf("sound: %s: %w", name, err)
		}
	}
	if dir == nil {
		return l, nil
	}
	err = fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".wav" {
			return err
		}
		language, clip, _ := strings.Cut(strings.TrimSuffix(name, ".wav"), "/")
		if l.clips[ALaw][language][speech.Clip(clip)] == nil {
			return fmt.Errorf("sound: %s: no recording of this name is played", name)
		}
		file, err := dir.Open(name)
		if err != nil {
			return fmt.Errorf("sound: %w", err)
		}
		samples, err := readWAV(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("sound: %s: %w", name, err)
		}
		l.add(language, speech.Clip(clip), samples)
		l.own[language]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Library) add(language string, clip speech.Clip, alaw []byte) {
	for law, bytes := range map[Law][]byte{ALaw: alaw, MuLaw: g711.Alaw2Ulaw(alaw)} {
		if l.clips[law][language] == nil {
			l.clips[law][language] = map[speech.Clip][]byte{}
		}
		l.clips[law][language][clip] = bytes
	}
}

// unpack reads an archive of A-law recordings.
func (l *Library) unpack(name string) error {
	data, err := shipped.ReadFile(name)
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	language := strings.TrimSuffix(path.Base(name), ".zip")
	for _, entry := range archive.File {
		clip, is := strings.CutSuffix(entry.Name, ".al")
		if !is {
			continue
		}
		file, err := entry.Open()
		if err != nil {
			return err
		}
		samples := make([]byte, min(entry.UncompressedSize64, maxClip))
		_, err = io.ReadFull(file, samples)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
		l.add(language, speech.Clip(clip), samples)
	}
	return nil
}

// Clip is a recording in a law, nil when there is none.
func (l *Library) Clip(law Law, language string, clip speech.Clip) []byte {
	return l.clips[law][language][clip]
}

// Own counts the recordings of a language that are an operator's own.
func (l *Library) Own(language string) int { return l.own[language] }

// Missing are the recordings of a language that a folder of an operator's own does not have, in order.
func Missing(dir fs.FS, voices *speech.Voices, language string) []speech.Clip {
	var missing []speech.Clip
	for clip := range voices.Words(language) {
		if _, err := fs.Stat(dir, path.Join(language, string(clip)+".wav")); err != nil {
			missing = append(missing, clip)
		}
	}
	slices.Sort(missing)
	return missing
}

// The formats of a WAV file that are read (RFC 2361).
const (
	formatPCM  = 1
	formatALaw = 6
	formatMu   = 7
)

// readWAV returns the samples of a WAV file in A-law.
func readWAV(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, 2*maxClip+1<<16))
	if err != nil {
		return nil, err
	}
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return nil, errors.New("not a WAV file")
	}
	var format []byte
	for rest := data[12:]; len(rest) >= 8; {
		name, size := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		if size > int64(len(rest)) {
			return nil, fmt.Errorf("cut off, or longer than %d seconds: its part %q", maxClip/Rate, name)
		}
		part := rest[:size]
		rest = rest[min(size+size%2, int64(len(rest))):]
		switch {
		case name == "fmt " && size >= 16:
			format = part
		case name == "data" && format == nil:
			return nil, errors.New("no format before its samples")
		case name == "data":
			return inALaw(format, part)
		}
	}
	return nil, errors.New("no samples in it")
}

// inALaw converts the samples of a WAV file.
func inALaw(format, samples []byte) ([]byte, error) {
	kind, channels := binary.LittleEndian.Uint16(format), binary.LittleEndian.Uint16(format[2:])
	rate, bits := binary.LittleEndian.Uint32(format[4:]), binary.LittleEndian.Uint16(format[14:])
	if channels != 1 || rate != Rate {
		return nil, fmt.Errorf("%d channels of %d samples a second: one of %d is needed", channels, rate, Rate)
	}
	var alaw []byte
	switch {
	case kind == formatPCM && bits == 16:
		alaw = g711.EncodeAlaw(samples)
	case kind == formatALaw && bits == 8:
		alaw = slices.Clone(samples)
	case kind == formatMu && bits == 8:
		alaw = g711.Ulaw2Alaw(samples)
	default:
		return nil, fmt.Errorf("format %d of %d bits: 16-bit PCM, A-law or mu-law is needed", kind, bits)
	}
	if len(alaw) == 0 || len(alaw) > maxClip {
		return nil, fmt.Errorf("%d samples: from 1 to %d may be there", len(alaw), maxClip)
	}
	return alaw, nil
}
