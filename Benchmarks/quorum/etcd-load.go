// Clients in closed loops against etcd: each asks, waits for the answer, and asks again.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

func main() {
	endpoints := flag.String("endpoints", "127.0.0.1:2379", "of the members, with commas between them")
	clients := flag.Int("clients", 64, "in closed loops")
	connections := flag.Int("connections", 1, "that the clients share")
	seconds := flag.Float64("seconds", 5, "how long")
	keys := flag.Int("keys", 1000, "that the clients share")
	payload := flag.Int("payload", 64, "bytes of a value")
	patience := flag.Duration("timeout", 10*time.Second, "how long an answer may take")
	flag.Parse()

	var pool []*clientv3.Client
	for i := 0; i < *connections; i++ {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: strings.Split(*endpoints, ","), DialTimeout: 5 * time.Second})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		pool = append(pool, client)
	}
	root := fmt.Sprintf("bench/%d/", time.Now().UnixNano())
	began := time.Now()
	end := began.Add(time.Duration(*seconds * float64(time.Second)))
	var group sync.WaitGroup
	spans := make([][]time.Duration, *clients)
	returns := make([][]time.Time, *clients)
	failures := make([]int, *clients)
	for c := 0; c < *clients; c++ {
		group.Add(1)
		go func(c int) {
			defer group.Done()
			kv := pool[c%len(pool)]
			generator := rand.New(rand.NewSource(int64(c)))
			known := map[string]string{}
			for count := 1; ; count++ {
				call := time.Now()
				if !call.Before(end) {
					return
				}
				key := fmt.Sprint(root, generator.Intn(*keys))
				value := fmt.Sprintf("%d-%d", c, count)
				value += strings.Repeat(".", max(0, *payload-len(value)))
				ctx, cancel := context.WithTimeout(context.Background(), *patience)
				var err error
				matched := true
				// One of four writes compares first, as in glue quorum bench.
				if count%4 == 0 {
					compare := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
					if old, ok := known[key]; ok {
						compare = clientv3.Compare(clientv3.Value(key), "=", old)
					}
					var response *clientv3.TxnResponse
					response, err = kv.Txn(ctx).If(compare).Then(clientv3.OpPut(key, value)).Commit()
					matched = err == nil && response.Succeeded
				} else {
					_, err = kv.Put(ctx, key, value)
				}
				cancel()
				if err != nil {
					failures[c]++
					continue
				}
				if matched {
					known[key] = value
				}
				spans[c] = append(spans[c], time.Since(call))
				returns[c] = append(returns[c], time.Now())
			}
		}(c)
	}
	group.Wait()
	took := time.Since(began).Seconds()
	var all []time.Duration
	var times []time.Time
	failed := 0
	for c := range spans {
		all = append(all, spans[c]...)
		times = append(times, returns[c]...)
		failed += failures[c]
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	if len(all) == 0 {
		fmt.Fprintln(os.Stderr, "nothing was decided")
		os.Exit(1)
	}
	sort.Slice(times, func(i, j int) bool { return times[i].Before(times[j]) })
	gap := time.Duration(0)
	for i := 1; i < len(times); i++ {
		if span := times[i].Sub(times[i-1]); span > gap {
			gap = span
		}
	}
	at := func(p float64) float64 { return float64(all[int(p*float64(len(all)-1))].Microseconds()) / 1000 }
	fmt.Printf("{\"perSecond\":%.1f,\"p50\":%.3f,\"p99\":%.3f,\"failed\":%d,\"longestGap\":%.1f,\"commits\":%d}\n",
		float64(len(all))/took, at(0.5), at(0.99), failed, float64(gap.Microseconds())/1000, len(all))
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
