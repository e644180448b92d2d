"""What books look like in notebooks (`html`) and as charts (`plot`), loaded when a book is shown."""
