"""Getting a clip's encoded bytes, from wherever they are.

fetcher          what every fetcher gives and how it fails
open_fetcher     the fetcher of what the user gives as `--source`
youtube          YouTube, through yt-dlp
  youtube_options  the user's choices, and yt-dlp's parameters
  youtube_media    a video's audio: its beginning, the part around a clip, or all of it
  youtube_ranges   ranges of bytes, over yt-dlp's connections
  youtube_bounds   how much may come, and how long it may take
  youtube_log      what yt-dlp says on the way
  cookies          a private copy of the user's cookies
  public_hosts     no connections into one's own network
  prefix           how much of a file's beginning a clip needs
  ranged_file      a file on a server, as a demuxer reads it
  excerpt          the packets around a clip, as a file of their own
http_fetcher     files below a URL
  http_session     connections: redirects, addresses, bounds
  retry_after      pauses that servers ask for
  transfer         a body in several answers
  urls             which URLs are fetched, and how they look in messages
download         an archive onto the disk: resumed, checked
own_files        a folder or an archive on this machine
s3               objects below an S3 prefix
validate         what a clip turned out to be, by its decoded samples
member_name      whether a clip names a file that may be asked of a source
own_outcome      outcomes of our own checks
rate_limit       politeness as values
"""
