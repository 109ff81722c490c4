// A witness for the fuzzers: tells how Go's net/http server reads captured byte streams.
//
// Standard input has one JSON object a line, {"id", "bytes" (base64)}: all that came on one connection. Standard output answers
// each, in order, with {"id", "messages", "end"}.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type stream struct {
	ID    int    `json:"id"`
	Bytes string `json:"bytes"`
}

type message struct {
	Method   string      `json:"method"`
	Target   string      `json:"target"`
	Headers  [][2]string `json:"headers"`
	Body     string      `json:"body"`
	Trailers [][2]string `json:"trailers"`
	// The body broke off or could not be read.
	Broken string `json:"broken,omitempty"`
}

type account struct {
	ID       int       `json:"id"`
	Messages []message `json:"messages"`
	// Status lines of the answers that the server made by itself: it could not read what came.
	Refusals []string `json:"refusals"`
}

// memoryConn is a connection whose input is there already and whose output is kept.
type memoryConn struct {
	input  *bytes.Reader
	mutex  sync.Mutex
	output bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func (c *memoryConn) Read(p []byte) (int, error) {
	return c.input.Read(p)
}

func (c *memoryConn) Write(p []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.output.Write(p)
}

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// oneListener gives out one connection, then waits until it is closed.
type oneListener struct {
	conn  *memoryConn
	given bool
}

func (l *oneListener) Accept() (net.Conn, error) {
	if l.given {
		return nil, io.EOF
	}
	l.given = true
	return l.conn, nil
}

func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return l.conn.LocalAddr() }

func read(input []byte) ([]message, []string) {
	messages := []message{}
	conn := &memoryConn{input: bytes.NewReader(input), closed: make(chan struct{})}
	server := &http.Server{
		MaxHeaderBytes: 1 << 20,
		ErrorLog:       log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			seen := message{Method: r.Method, Target: latin1(r.RequestURI), Body: base64.StdEncoding.EncodeToString(body)}
			seen.Headers = append(pairs(r.Header), [2]string{"host", latin1(r.Host)})
			if len(r.TransferEncoding) > 0 {
				seen.Headers = append(seen.Headers, [2]string{"transfer-encoding", strings.Join(r.TransferEncoding, ", ")})
			}
			seen.Trailers = pairs(r.Trailer)
			if err != nil {
				seen.Broken = err.Error()
			}
			messages = append(messages, seen)
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusNoContent)
		}),
	}
	_ = server.Serve(&oneListener{conn: conn})
	<-conn.closed
	return messages, refusals(conn.output.Bytes())
}

func pairs(header http.Header) [][2]string {
	list := [][2]string{}
	for name, values := range header {
		for _, value := range values {
			list = append(list, [2]string{strings.ToLower(name), latin1(value)})
		}
	}
	return list
}

func refusals(output []byte) []string {
	list := []string{}
	lines := bufio.NewScanner(bytes.NewReader(output))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "HTTP/1.1 ") && !strings.HasPrefix(line, "HTTP/1.1 204") && !strings.HasPrefix(line, "HTTP/1.1 100") {
			list = append(list, line)
		}
	}
	return list
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	output := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		var one stream
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		input, err := base64.StdEncoding.DecodeString(one.Bytes)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		messages, refused := read(input)
		line, err := json.Marshal(account{ID: one.ID, Messages: messages, Refusals: refused})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_, _ = output.Write(append(line, '\n'))
		_ = output.Flush()
	}
}

// latin1 makes bytes that are not UTF-8 fit for JSON: each byte becomes the character of the same number.
func latin1(text string) string {
	runes := make([]rune, len(text))
	for i := range len(text) {
		runes[i] = rune(text[i])
	}
	return string(runes)
}
