-- Those into the actions touched.
CREATE OR REPLACE TABLE live.stale AS SELECT seq AS sink_seq FROM live.touched;
