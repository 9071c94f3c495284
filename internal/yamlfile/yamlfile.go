// Package yamlfile reads configuration files strictly: unknown and repeated
// keys are refused, as is what no such file needs (aliases, tags, deep
// nesting), and every error names the file, the line and the key. It knows
// nothing of what the files mean.
package yamlfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser's memory grows with the square of the nesting.
const (
	MaxBytes = 1 << 20
	MaxDepth = 32 // brackets within brackets, and dashes within a line
	maxPath  = 256
)

// Read returns a file's bytes, or an error where it has more than MaxBytes.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err == nil && len(data) > MaxBytes {
		err = fmt.Errorf("%s: file has more than %d bytes", path, MaxBytes)
	}
	return data, err
}

// File remembers where each key of a file stands, so that a later check can
// point at it.
type File struct {
	name string
	tree *ast.File
}

// Decode reads one YAML document into a struct, following its yaml tags. The
// name is only used in errors. An error reads "bf.yaml:12: operators[1].code: ...".
func Decode(name string, data []byte, into any) (*File, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s: file has %d bytes, at most %d are read", name, len(data), MaxBytes)
	}
	tokens := lexer.Tokenize(string(data))
	if err := plain(tokens); err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, (&File{name: name}).locate(err)
	}
	f := &File{name, tree}
	switch {
	case len(tree.Docs) == 0 || tree.Docs[0].Body == nil || tree.Docs[0].Body.Type() == ast.NullType:
		return nil, fmt.Errorf("%s:1: file is empty", name)
	case len(tree.Docs) > 1:
		return nil, fmt.Errorf("%s: file holds %d YAML documents, one expected", name, len(tree.Docs))
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, into, yaml.Strict()); err != nil {
		return nil, f.locate(err)
	}
	return f, nil
}

// plain refuses what no configuration needs and hostile files are made of. Its
// error begins with the line.
func plain(tokens token.Tokens) error {
	depth, dashes, line := 0, 0, 0
	for _, tk := range tokens {
		if at := tk.Position.Line; at != line {
			line, dashes = at, 0
		}
		what := ""
		switch tk.Type { //nolint:exhaustive // the others nest nothing
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		case token.AnchorType, token.AliasType:
			what = "anchors and aliases are not read"
		case token.TagType:
			what = "tags are not read"
		case token.MappingKeyType:
			what = "keys are not written with a question mark"
		}
		if depth > MaxDepth || dashes > MaxDepth {
			what = fmt.Sprintf("nested more than %d deep", MaxDepth)
		}
		if what != "" {
			return fmt.Errorf("%d: %s", line, what)
		}
	}
	return nil
}

// Errorf returns an error about the key at a path such as
// "operators[1].code". Where the file does not hold the key, the line is that
// of the nearest part of the path that it holds.
func (f *File) Errorf(path, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s: %w", f.name, f.line(path), shown(path), fmt.Errorf(format, args...))
}

// shown is as much of a file's own text as an error repeats: valid UTF-8, at
// most maxPath bytes.
func shown(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxPath)], "?")
}

// plainPath is what a path is made of where every key is plain. The YAML library
// takes others for a query, or panics.
var plainPath = regexp.MustCompile(`^[\w-]+(?:\.[\w-]+|\[[0-9]{1,7}\])*$`)

func (f *File) line(path string) int {
	for ; path != "" && len(path) <= maxPath; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if !plainPath.MatchString(path) {
			continue
		}
		p, err := yaml.PathString("$." + path)
		if err != nil {
			continue
		}
		if node, err := p.FilterFile(f.tree); err == nil && node != nil {
			return start(node)
		}
	}
	return 1
}

// start is the first line of a node. The token of a mapping is the colon after
// its first key, which stands on the same line.
func start(node ast.Node) int {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position.Line
	}
	return node.GetToken().Position.Line
}

// locate gives an error of the YAML library our form.
func (f *File) locate(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	tk := at.GetToken()
	var wrongType *yaml.TypeError
	message := shown(at.GetMessage())
	if errors.As(err, &wrongType) {
		message = fmt.Sprintf("%q is not %s", shown(tk.Value), kindOf(wrongType))
	}
	if key := f.key(tk); key != "" {
		message = shown(key) + ": " + message
	}
	return fmt.Errorf("%s:%d: %s", f.name, tk.Position.Line, message)
}

func kindOf(err *yaml.TypeError) string {
	switch kind := err.DstType.Kind().String(); {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case kind == "slice", kind == "array":
		return "a list"
	case kind == "map", kind == "struct":
		return "a block of keys"
	case kind == "bool":
		return "true or false"
	default:
		return "a " + kind
	}
}

// key is the path of the node that a token begins.
func (f *File) key(tk *token.Token) string {
	if f.tree == nil {
		return ""
	}
	finder := &finder{offset: tk.Position.Offset}
	for _, doc := range f.tree.Docs {
		ast.Walk(finder, doc)
	}
	return strings.TrimPrefix(strings.TrimPrefix(finder.path, "$"), ".")
}

type finder struct {
	offset int
	path   string
}

// Visit implements ast.Visitor.
func (v *finder) Visit(node ast.Node) ast.Visitor {
	if tk := node.GetToken(); v.path == "" && tk != nil && tk.Position != nil && tk.Position.Offset == v.offset {
		v.path = node.GetPath()
	}
	return v
}
