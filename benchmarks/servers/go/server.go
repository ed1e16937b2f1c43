// The benchmark's application on zishang520/socket.io, with GOMAXPROCS=1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const namespaces = 100

func onConnect(namespace socket.Namespace) types.EventListener {
	return func(clients ...any) {
		client := clients[0].(*socket.Socket)
		client.On("echo", func(data ...any) {
			client.Emit("echo", data[0])
		})
		client.On("ack", func(data ...any) {
			data[1].(socket.Ack)([]any{data[0]}, nil)
		})
		client.On("validated", func(data ...any) {
			// A hand-written check: there is none in the library.
			if move, ok := data[0].(map[string]any); ok && isMove(move) {
				data[1].(socket.Ack)([]any{move}, nil)
			}
		})
		client.On("gather", func(data ...any) {
			answered := func(answers []any, err error) {
				data[1].(socket.Ack)([]any{len(answers)}, err)
			}
			namespace.Timeout(5*time.Second).EmitWithAck("q", data[0])(answered)
		})
		client.On("echo_bin", func(data ...any) {
			client.Emit("echo_bin", data[0])
		})
		client.On("broadcast", func(data ...any) {
			namespace.Emit("b", data[0])
		})
		client.On("room", func(data ...any) {
			namespace.To("r0").Emit("b", data[0])
		})
		client.On("join", func(data ...any) {
			count := int(data[0].(float64))
			for i := range count {
				client.Join(socket.Room(fmt.Sprintf("r%d", i)))
			}
			data[1].(socket.Ack)([]any{count}, nil)
		})
	}
}

func isMove(move map[string]any) bool {
	_, hasID := move["id"].(string)
	_, hasX := move["x"].(float64)
	tags, hasTags := move["tags"].([]any)
	for _, tag := range tags {
		if _, ok := tag.(string); !ok {
			return false
		}
	}
	return hasID && hasX && hasTags
}

func serve(port int, deflate bool) error {
	options := socket.DefaultServerOptions()
	options.SetCors(&types.Cors{Origin: "*"})
	options.SetServeClient(false)
	if deflate {
		options.SetPerMessageDeflate(&types.PerMessageDeflate{Threshold: 1024})
	}
	server := socket.NewServer(nil, options)
	for i := range namespaces {
		path := "/"
		if i > 0 {
			path = fmt.Sprintf("/n%d", i)
		}
		namespace := server.Of(path, nil)
		namespace.On("connection", onConnect(namespace))
	}
	http.Handle("/socket.io/", server.ServeHandler(nil))
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	fmt.Printf("listening on %d pid %d\n", port, os.Getpid())
	return http.Serve(listener, nil)
}

func versions() map[string]string {
	found := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		switch module.Path {
		case "github.com/zishang520/socket.io/servers/socket/v3":
			found["zishang520/socket.io"] = strings.TrimPrefix(module.Version, "v")
		case "github.com/gorilla/websocket":
			found["gorilla/websocket"] = strings.TrimPrefix(module.Version, "v")
		}
	}
	return found
}

func main() {
	port := flag.Int("port", 5000, "where it listens")
	deflate := flag.Bool("deflate", false, "compress messages")
	printVersions := flag.Bool("versions", false, "print versions, as JSON")
	flag.Parse()
	if *printVersions {
		text, _ := json.Marshal(versions())
		fmt.Println(string(text))
		return
	}
	runtime.GOMAXPROCS(1)
	log.Fatal(serve(*port, *deflate))
}
