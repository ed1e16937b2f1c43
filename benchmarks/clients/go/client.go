// The benchmark's client on zishang520/socket.io, with GOMAXPROCS=1; see ../common.py.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const (
	flooded = 512
	clock   = 16
)

var (
	mode        = flag.String("mode", "echo", "echo, flood, cycle or memory")
	port        = flag.Int("port", 5000, "where the server is")
	inFlight    = flag.Int("in-flight", 1, "messages, or connections")
	connections = flag.Int("connections", 1, "of memory")
	warmup      = flag.Float64("warmup", 1, "seconds")
	seconds     = flag.Float64("seconds", 3, "that count")
)

type load struct {
	sync.Mutex
	begun, over         bool
	counted, came, sent int
	awaited             map[string]bool
	warmAt, endAt       time.Time
}

func newLoad() *load {
	warmAt := time.Now().Add(time.Duration(*warmup * float64(time.Second)))
	endAt := warmAt.Add(time.Duration(*seconds * float64(time.Second)))
	return &load{awaited: map[string]bool{}, warmAt: warmAt, endAt: endAt}
}

func (l *load) begin() {
	l.begun = true
	fmt.Println("begin")
}

func (l *load) end(count int) {
	l.over = true
	fmt.Printf("end %d\n", count)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// count is called with the lock held.
func (l *load) count(step int) {
	l.came++
	if l.begun {
		l.counted++
	}
	if l.came%step != 0 {
		return
	}
	now := time.Now()
	if !l.begun && now.After(l.warmAt) {
		l.begin()
	} else if l.begun && now.After(l.endAt) {
		l.end(l.counted)
	}
}

// newMessage is called with the lock held.
func (l *load) newMessage() string {
	l.sent++
	text := fmt.Sprintf("%032d", l.sent)
	l.awaited[text] = true
	return text
}

func connect(prepare func(*socket.Socket)) *socket.Socket {
	options := socket.DefaultOptions()
	options.SetTransports(types.NewSet(transports.WebSocket))
	options.SetForceNew(true)
	options.SetReconnection(false)
	client, err := socket.Connect(fmt.Sprintf("http://127.0.0.1:%d", *port), options)
	if err != nil {
		log.Fatal(err)
	}
	connected := make(chan bool, 1)
	client.On("connect", func(...any) { connected <- true })
	client.On("connect_error", func(data ...any) { log.Fatal("connect_error: ", data) })
	if prepare != nil {
		prepare(client)
	}
	<-connected
	return client
}

func echo() {
	load := newLoad()
	step := 1
	if *inFlight > 1 {
		step = clock
	}
	client := connect(func(client *socket.Socket) {
		client.On("echo", func(data ...any) {
			load.Lock()
			text, ok := data[0].(string)
			if !ok || !load.awaited[text] {
				log.Fatalf("%v came, which was not awaited", data[0])
			}
			delete(load.awaited, text)
			load.count(step)
			more := load.newMessage()
			load.Unlock()
			client.Emit("echo", more)
		})
	})
	for range *inFlight {
		load.Lock()
		text := load.newMessage()
		load.Unlock()
		client.Emit("echo", text)
	}
	select {}
}

func flood() {
	load := newLoad()
	client := connect(func(client *socket.Socket) {
		client.On("b", func(data ...any) {
			load.Lock()
			wanted := load.came % flooded
			if number, _ := strconv.Atoi(data[0].(string)); number != wanted {
				log.Fatalf("%v came instead of %d", data[0], wanted)
			}
			load.count(clock)
			load.Unlock()
			if wanted == flooded-1 {
				client.Emit("flood", flooded)
			}
		})
	})
	client.Emit("flood", flooded)
	client.Emit("flood", flooded)
	select {}
}

func cycle() {
	load := newLoad()
	for range *inFlight {
		go func() {
			for {
				connect(nil).Disconnect()
				load.Lock()
				load.count(1)
				load.Unlock()
			}
		}()
	}
	select {}
}

func memory() {
	load := newLoad()
	kept := []*socket.Socket{connect(nil)}
	load.begin()
	opened := make(chan *socket.Socket)
	for range *connections / 50 {
		for range 50 {
			go func() { opened <- connect(nil) }()
		}
		for range 50 {
			kept = append(kept, <-opened)
		}
	}
	load.end(*connections)
	runtime.KeepAlive(kept)
}

func versions() map[string]string {
	found := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		switch module.Path {
		case "github.com/zishang520/socket.io/clients/socket/v3":
			found["zishang520/socket.io"] = strings.TrimPrefix(module.Version, "v")
		case "github.com/gorilla/websocket":
			found["gorilla/websocket"] = strings.TrimPrefix(module.Version, "v")
		}
	}
	return found
}

func main() {
	printVersions := flag.Bool("versions", false, "print versions, as JSON")
	flag.Parse()
	if *printVersions {
		text, _ := json.Marshal(versions())
		fmt.Println(string(text))
		return
	}
	runtime.GOMAXPROCS(1)
	map[string]func(){"echo": echo, "flood": flood, "cycle": cycle, "memory": memory}[*mode]()
}
