// A server, a front and a client of net/http.
//
//	tide server ADDRESS [CERTIFICATE KEY]
//	tide front ADDRESS URL
//	tide client URL CA
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
)

func main() {
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "server":
		server(arguments[0], arguments[1:])
	case "front":
		target, err := url.Parse(arguments[1])
		check(err)
		check(http.ListenAndServe(arguments[0], httputil.NewSingleHostReverseProxy(target)))
	case "client":
		client(arguments[0], arguments[1])
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func server(address string, files []string) {
	http.HandleFunc("/seen/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Proto, r.Host, r.RequestURI, r.Header.Get("X-Forwarded-For"), r.TLS != nil)
	})
	// Reading the content has net/http send 100 (Continue), if the client expects it.
	http.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		w.Write(content)
	})
	http.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	})
	http.HandleFunc("/trailer", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "high ")
		w.(http.Flusher).Flush()
		io.WriteString(w, "water")
		w.Header().Set("X-Sum", "10")
	})
	// The upstream ends in the middle of its content.
	http.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "high ")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	events()
	http.HandleFunc("/upgrade", upgrade)
	if len(files) == 0 {
		check(http.ListenAndServe(address, nil))
	}
	check(http.ListenAndServeTLS(address, files[0], files[1], nil))
}

// Server-sent events: what is posted to /tell goes to those that listen at /events.
func events() {
	var lock sync.Mutex
	listeners := map[chan string]bool{}
	http.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		told := make(chan string, 100)
		lock.Lock()
		listeners[told] = true
		lock.Unlock()
		defer func() {
			lock.Lock()
			delete(listeners, told)
			lock.Unlock()
		}()
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case text := <-told:
				fmt.Fprintf(w, "data: %s\n\n", text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	http.HandleFunc("/tell", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		lock.Lock()
		defer lock.Unlock()
		for told := range listeners {
			told <- string(text)
		}
		fmt.Fprint(w, len(listeners))
	})
}

// Takes the connection over, and sends back what comes.
func upgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "tide" {
		http.Error(w, "which protocol?", http.StatusUpgradeRequired)
		return
	}
	connection, buffered, err := w.(http.Hijacker).Hijack()
	check(err)
	defer connection.Close()
	io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tide\r\n\r\n")
	io.Copy(connection, buffered)
}

// Prints what net/http as a client finds; it offers h2 first.
func client(base, ca string) {
	text, err := os.ReadFile(ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	sessions := tls.NewLRUClientSessionCache(10)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ClientSessionCache: sessions},
		ForceAttemptHTTP2: true,
	}
	client := &http.Client{Transport: transport}
	ask := func(method, path string, content io.Reader, expect string) (*http.Response, []byte) {
		request, err := http.NewRequest(method, base+path, content)
		check(err)
		if expect != "" {
			request.Header.Set("Expect", expect)
		}
		response, err := client.Do(request)
		check(err)
		back, err := io.ReadAll(response.Body)
		check(err)
		response.Body.Close()
		return response, back
	}
	response, back := ask("GET", "/", nil, "")
	fmt.Print(response.Proto, " ", response.StatusCode, " ", string(back))
	for i := 0; i < 20; i++ {
		ask("GET", "/", nil, "")
	}
	_, back = ask("GET", "/large", nil, "")
	fmt.Println(len(back))
	content := bytes.Repeat([]byte("high water at noon\n"), 100_000)
	for _, expect := range []string{"", "100-continue"} {
		_, back = ask("POST", "/cat", bytes.NewReader(content), expect)
		// A reader of no known length: chunks.
		_, chunked := ask("POST", "/cat", io.MultiReader(bytes.NewReader(content), strings.NewReader("!")), expect)
		fmt.Println(bytes.Equal(back, content), len(chunked)-len(content))
	}
	resumed := 0
	for i := 0; i < 5; i++ {
		transport.CloseIdleConnections()
		response, _ = ask("GET", "/", nil, "")
		if response.TLS.DidResume {
			resumed++
		}
	}
	fmt.Println("resumed", resumed)
}
