// Google's client for Go: metadata, multipart, resumable, download; the file's content is on standard input.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
		"small": small.Md5Checksum, "large": large.Md5Checksum, "renamed": renamed.Name, "names": names,
		"downloaded": bytes.Equal(down, content),
	}))
}
