# Google's client for Ruby: metadata, multipart, resumable, batch, download; the file's content is on standard input.
require 'json'
require 'stringio'
require 'google/apis/drive_v3'

url, token = ARGV
content = STDIN.binmode.read
drive = Google::Apis::DriveV3::DriveService.new
drive.root_url = "#{url}/"
drive.authorization = token

folder = drive.create_file({ name: 'folder', mime_type: 'application/vnd.google-apps.folder' })
fields = 'id,md5Checksum,size'
small = drive.create_file({ name: 'small', parents: [folder.id] }, upload_source: StringIO.new(content[0, 1000]),
                          content_type: 'text/plain', fields: fields)
File.binwrite(ARGV[2], content)
large = drive.create_file({ name: 'large', parents: [folder.id] }, upload_source: ARGV[2],
                          content_type: 'application/pdf', fields: fields)
renamed = nil
batched = []
drive.batch do |inside|
  inside.update_file(small.id, { name: 'renamed' }) { |file, error| renamed = file&.name || error.message }
  inside.get_file(large.id, fields: 'name') { |file, error| batched << (file&.name || error.message) }
end
list = drive.list_files(q: "'#{folder.id}' in parents", order_by: 'name')
down = StringIO.new
drive.get_file(large.id, download_dest: down)
puts JSON.generate(small: small.md5_checksum, large: large.md5_checksum, renamed: renamed, batched: batched,
                   names: list.files.map(&:name), downloaded: down.string.b == content)
