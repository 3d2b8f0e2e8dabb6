// Google's client for Node: metadata, multipart, a session by its authorised requests, download; it has no batch.
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';

const require = createRequire(`${process.cwd()}/`);
const { auth, drive } = require('@googleapis/drive');

const [url, token] = process.argv.slice(2);
const pieces = [];
for await (const piece of process.stdin) pieces.push(piece);
const content = Buffer.concat(pieces);
const client = new auth.OAuth2();
client.setCredentials({ access_token: token });
const service = drive({ version: 'v3', auth: client, rootUrl: `${url}/` });
const here = { rootUrl: `${url}/` }; // uploads take it from the call only
const fields = 'id,md5Checksum,size';

const folder = await service.files.create({
  requestBody: { name: 'folder', mimeType: 'application/vnd.google-apps.folder' },
});
const parents = [folder.data.id];
const upload = (name, body) =>
  service.files.create({ requestBody: { name, parents }, media: { mimeType: 'text/plain', body }, fields }, here);
const small = await upload('small', content.subarray(0, 1000).toString('latin1'));
const streamed = await upload('streamed', Readable.from([content]));
await service.files.delete({ fileId: streamed.data.id });
const session = await client.request({
  url: `${url}/upload/drive/v3/files?uploadType=resumable&fields=${fields}`,
  method: 'POST',
  data: { name: 'large', parents },
});
const large = await client.request({ url: session.headers.get('location'), method: 'PUT', data: content });
const renamed = await service.files.update({ fileId: small.data.id, requestBody: { name: 'renamed' } });
const list = await service.files.list({ q: `'${folder.data.id}' in parents`, orderBy: 'name' });
const down = await service.files.get({ fileId: large.data.id, alt: 'media' }, { responseType: 'arraybuffer' });
console.log(
  JSON.stringify({
    small: small.data.md5Checksum,
    streamed: streamed.data.md5Checksum,
    large: large.data.md5Checksum,
    renamed: renamed.data.name,
    names: list.data.files.map((file) => file.name),
    downloaded: Buffer.from(down.data).equals(content),
  }),
);
