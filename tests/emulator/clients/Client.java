import com.google.api.client.googleapis.batch.BatchRequest;
import com.google.api.client.googleapis.batch.json.JsonBatchCallback;
import com.google.api.client.googleapis.json.GoogleJsonError;
import com.google.api.client.googleapis.media.MediaHttpUploader;
import com.google.api.client.googleapis.services.json.AbstractGoogleJsonClient;
import com.google.api.client.googleapis.services.json.AbstractGoogleJsonClientRequest;
import com.google.api.client.http.AbstractInputStreamContent;
import com.google.api.client.http.ByteArrayContent;
import com.google.api.client.http.GenericUrl;
import com.google.api.client.http.HttpHeaders;
import com.google.api.client.http.InputStreamContent;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.api.client.json.GenericJson;
import com.google.api.client.json.jackson2.JacksonFactory;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * Google's client for Java: metadata, multipart, resumable, batch, download; the content is on standard input.
 *
 * <p>Debian's generated classes for Drive ask for a newer core than Debian has; so requests are made on the core itself.
 */
public final class Client extends AbstractGoogleJsonClient {
  private static int packed;

  private static final class Builder extends AbstractGoogleJsonClient.Builder {
    Builder(String url, String token) {
      super(
          new NetHttpTransport(),
          JacksonFactory.getDefaultInstance(),
          url + "/",
          "drive/v3/",
          request -> {
            request.getHeaders().setAuthorization("Bearer " + token);
            request.setInterceptor(sent -> packed += sent.getEncoding() == null ? 0 : 1);
          },
          false);
      setApplicationName("test");
    }

    @Override
    public Client build() {
      return new Client(this);
    }
  }

  private static final class Call extends AbstractGoogleJsonClientRequest<GenericJson> {
    Call(Client client, String method, String path, Object metadata) {
      super(client, method, path, metadata, GenericJson.class);
    }

    Call with(String parameter, String value) {
      set(parameter, value);
      return this;
    }

    Call uploading(AbstractInputStreamContent content, boolean atOnce) {
      initializeMediaUpload(content);
      getMediaHttpUploader().setDirectUploadEnabled(atOnce).setChunkSize(MediaHttpUploader.MINIMUM_CHUNK_SIZE);
      return this;
    }

    ByteArrayOutputStream download() throws IOException {
      initializeMediaDownload();
      ByteArrayOutputStream into = new ByteArrayOutputStream();
      executeMediaAndDownloadTo(into);
      return into;
    }
  }

  private Client(Builder builder) {
    super(builder);
  }

  private Call call(String method, String path, Object metadata) {
    return new Call(this, method, path, metadata);
  }

  private static GenericJson file(String name) {
    return new GenericJson().set("name", name);
  }

  public static void main(String[] args) throws Exception {
    byte[] content = System.in.readAllBytes();
    Client drive = new Builder(args[0], args[1]).build();
    String folder =
        (String)
            drive
                .call("POST", "files", file("folder").set("mimeType", "application/vnd.google-apps.folder"))
                .execute()
                .get("id");
    List<String> in = Collections.singletonList(folder);
    String uploads = "/upload/drive/v3/files";
    GenericJson small =
        drive
            .call("POST", uploads, file("small").set("parents", in))
            .uploading(new ByteArrayContent("text/plain", Arrays.copyOf(content, 1000)), true)
            .with("fields", "id,md5Checksum")
            .execute();
    GenericJson large =
        drive
            .call("POST", uploads, file("large").set("parents", in))
            .uploading(new InputStreamContent("application/pdf", new ByteArrayInputStream(content)), false)
            .with("fields", "id,md5Checksum")
            .execute();

    List<String> batched = new ArrayList<>();
    BatchRequest batch = new BatchRequest(new NetHttpTransport(), null);
    batch.setBatchUrl(new GenericUrl(args[0] + "/batch/drive/v3"));
    JsonBatchCallback<GenericJson> keep =
        new JsonBatchCallback<>() {
          @Override
          public void onSuccess(GenericJson file, HttpHeaders headers) {
            batched.add((String) file.get("name"));
          }

          @Override
          public void onFailure(GoogleJsonError error, HttpHeaders headers) {
            batched.add(error.getMessage());
          }
        };
    drive.call("PATCH", "files/" + small.get("id"), file("renamed")).queue(batch, keep);
    drive.call("GET", "files/" + large.get("id"), null).queue(batch, keep);
    batch.execute();

    List<String> names = new ArrayList<>();
    GenericJson list =
        drive.call("GET", "files", null).with("q", "'" + folder + "' in parents").with("orderBy", "name").execute();
    for (Object file : (List<?>) list.get("files")) {
      names.add((String) ((Map<?, ?>) file).get("name"));
    }
    byte[] down = drive.call("GET", "files/" + large.get("id"), null).download().toByteArray();
    System.out.printf(
        "{\"small\": \"%s\", \"large\": \"%s\", \"batched\": %s, \"names\": %s, \"downloaded\": %s, \"packed\": %d}%n",
        small.get("md5Checksum"),
        large.get("md5Checksum"),
        JacksonFactory.getDefaultInstance().toString(batched),
        JacksonFactory.getDefaultInstance().toString(names),
        Arrays.equals(down, content),
        packed);
  }
}
