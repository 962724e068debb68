"""YouTube on the loopback address: yt-dlp's own extractor, but for where it asks.

A plug-in of yt-dlp, found because its folder is on `sys.path`. The page `/watch/ID` of the site
that MELSTREAM_TEST_SITE names says, as JSON, what YouTube would have said.
"""

import os

from yt_dlp.extractor.youtube import YoutubeIE


class LoopbackYoutubeIE(YoutubeIE, plugin_name="loopback"):
    def _real_extract(self, url):
        video_id = self._match_id(url)
        page = self._download_json(
            f"{os.environ['MELSTREAM_TEST_SITE']}/watch/{video_id}", video_id
        )
        for warning in page.get("warnings", ()):
            self.report_warning(warning, video_id)
        for client, status in page.get("playability", {}).items():
            self.write_debug(f"{video_id}: {client} player response playability status: {status}")
        if "countries" in page:
            self.raise_geo_restricted(page["error"], countries=page["countries"])
        if "error" in page:
            self.raise_no_formats(page["error"], expected=True)
        if page.get("has_bug"):
            page["nothing"]["at all"]
        return {"id": video_id, "title": "made up", **page["info"]}
