// Google's client for Go: metadata, multipart, resumable, download; the file's content is on standard input.
// It has no batch: that is written with the standard library, as people do.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"

	drive "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

type bearer struct{ token string }

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(request)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// batch sends requests in one and gives the body of each answer, in their order.
func batch(client *http.Client, url string, requests []string) []string {
	var body bytes.Buffer
	writer := multipart.NewWriter(&body)
	for number, request := range requests {
		header := textproto.MIMEHeader{"Content-Type": {"application/http"}, "Content-ID": {fmt.Sprintf("<item%d>", number)}}
		part, err := writer.CreatePart(header)
		must(err)
		_, err = io.WriteString(part, request)
		must(err)
	}
	must(writer.Close())
	answer, err := client.Post(url+"/batch/drive/v3", "multipart/mixed; boundary="+writer.Boundary(), &body)
	must(err)
	_, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	must(err)
	reader, names := multipart.NewReader(answer.Body, parameters["boundary"]), []string{}
	for range requests {
		part, err := reader.NextPart()
		must(err)
		inner, err := http.ReadResponse(bufio.NewReader(part), nil)
		must(err)
		var file drive.File
		must(json.NewDecoder(inner.Body).Decode(&file))
		names = append(names, file.Name)
	}
	return names
}

func main() {
	url, token := os.Args[1], os.Args[2]
	content, err := io.ReadAll(os.Stdin)
	must(err)
	client := &http.Client{Transport: bearer{token}}
	service, err := drive.NewService(context.Background(), option.WithHTTPClient(client), option.WithEndpoint(url))
	must(err)
	service.BasePath = url + "/drive/v3/"

	folder, err := service.Files.Create(&drive.File{Name: "folder", MimeType: "application/vnd.google-apps.folder"}).Do()
	must(err)
	in := []string{folder.Id}
	small, err := service.Files.Create(&drive.File{Name: "small", Parents: in}).Media(bytes.NewReader(content[:1000])).Fields("id", "md5Checksum", "size").Do()
	must(err)
	large, err := service.Files.Create(&drive.File{Name: "large", Parents: in}).Media(bytes.NewReader(content), googleapi.ChunkSize(256*1024)).Fields("id", "md5Checksum", "size").Do()
	must(err)
	renamed, err := service.Files.Update(small.Id, &drive.File{Name: "renamed"}).Do()
	must(err)
	batched := batch(client, url, []string{
		fmt.Sprintf("PATCH /drive/v3/files/%s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"name\":\"renamed\"}", small.Id),
		fmt.Sprintf("GET /drive/v3/files/%s HTTP/1.1\r\n\r\n", large.Id),
	})
	list, err := service.Files.List().Q(fmt.Sprintf("'%s' in parents", folder.Id)).OrderBy("name").Do()
	must(err)
	answer, err := service.Files.Get(large.Id).Download()
	must(err)
	down, err := io.ReadAll(answer.Body)
	must(err)
	names := []string{}
	for _, file := range list.Files {
		names = append(names, file.Name)
	}
	must(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"small": small.Md5Checksum, "large": large.Md5Checksum, "renamed": renamed.Name, "names": names, "batched": batched,
		"downloaded": bytes.Equal(down, content),
	}))
}
